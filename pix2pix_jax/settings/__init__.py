"""Config fields: which values they take, and what to say of mistakes."""
