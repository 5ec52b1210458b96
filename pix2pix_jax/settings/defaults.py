"""Every field of a config with its default: pix2pix as the authors' PyTorch code trains it.

The files of configs/, one for each experiment, state what differs from this one. Any field can be
set by a flag: `python launch.py --config=configs/facades.py --config.seed=1`.
"""

import ml_collections

from pix2pix_jax.settings.size_field import Size


def get_config() -> ml_collections.ConfigDict:
    """Returns the defaults of all fields; locked, so that a mistyped name in a file is an error."""
    config = ml_collections.ConfigDict()
    config.name = "default"  # name of the run; the default workdir is runs/<name>
    config.method = "pix2pix"  # what is trained: a module of pix2pix_jax/methods
    config.seed = 0  # seeds initialisation, data order, jitter and dropout
    config.init_from = ""  # weights to start from: a workdir, a .pth, a name of pytorch/published

    config.data = data = ml_collections.ConfigDict()
    data.name = "synthetic"  # synthetic, folder, or a set of data/catalogue.py (facades, ...)
    data.dir = ""  # folder, or s3:// or gs:// address, with train/ val/ test/; empty: data.name
    data.tfds_dir = ""  # where TFDS keeps prepared data; empty: ~/tensorflow_datasets
    data.train_split = "train"  # split (or folder) to train on
    data.eval_split = "val"  # split (or folder) for validation during training and for --mode=eval
    data.shuffle = True  # False: examples in the order of their names (PyTorch: --serial_batches)
    data.max_items = 0  # use only this many examples of a split; 0: all
    data.direction = "AtoB"  # AtoB: A is the input and B the target; BtoA: the reverse
    data.input_channels = 3  # of the input: 1 (grayscale) or 3; inpainting: output_channels + 1
    data.output_channels = 3  # of the target: 1 (grayscale) or 3; colorization: 2 (a and b)
    data.labels = "rgb"  # pix2pixHD's input: rgb (an image), ids or a palette's name (classes)
    data.num_classes = 35  # labels=ids: ids are below it
    data.value_range = ()  # any channels, 8 or 16 bits, float: (low, high), or of input and target
    data.shown_channels = ()  # with value_range, in pictures: one, or (red, green, blue), from 0
    data.preprocess = "resize_and_crop"  # or: crop, scale_width, scale_width_and_crop, none
    data.load_size = Size("data.load_size", (286, 286))  # (height, width) before the crop
    data.crop_size = Size("data.crop_size", (256, 256))  # (height, width) that the networks see
    data.resize_method = "bicubic"  # interpolation of the resize: bicubic, bilinear or nearest
    data.jitter_ends = False  # resize to crop_size after optim.epochs, whatever the policy (CUT)
    data.flip = True  # mirror left-right with probability 1/2, both images of a pair alike
    data.cache_mb = 4096  # data sets up to this size (MiB, resized) live on the device as uint8
    data.num_threads = 4  # threads that decode and resize images
    data.prefetch_mb = 256  # MiB of batches made ahead when a data set does not fit the cache
    data.mask_dir = ""  # inpainting: folder of masks (white: hole); empty: they are drawn
    data.mask_kind = "both"  # drawn masks: rectangle, strokes or both
    data.mask_share = (0.1, 0.4)  # drawn masks: smallest and largest share of the image
    data.synthetic_kind = "labels"  # domain B: labels, or night (the facade after dark)
    data.synthetic_train = 400  # training pairs of the synthetic data set
    data.synthetic_eval = 20  # validation and test pairs of the synthetic data set
    data.synthetic_size = 64  # height and width of the synthetic images

    config.model = model = ml_collections.ConfigDict()
    model.generator = "unet_256"  # or resnet_9blocks, enhancer_9blocks, fcn_8s, ... (models/build)
    model.ngf = 64  # filters of the generator's first layer
    model.norm = "batch"  # normalisation: batch, instance or none
    model.norm_eps = 1e-5  # epsilon inside the normalisation's square root
    model.norm_momentum = 0.1  # weight of the new batch in the running statistics (as PyTorch)
    model.norm_affine = False  # instance norm only: learn a scale and a bias
    model.norm_d = "same"  # of the discriminator: batch, instance, none, or the same as model.norm
    model.spectral_norm = False  # discriminator: each kernel over its largest singular value
    model.norm_innermost = False  # U-Net: normalise the innermost downsampling too (TF tutorial)
    model.sync_batch_norm = False  # batch statistics over all devices instead of each device
    model.bias = "torch"  # torch: as PyTorch; all (pix2pixHD); last: last layers only (TF); none
    model.dropout = 0.5  # dropout rate of the generator; 0: none
    model.dropout_blocks = (2, 3, 4)  # U-Net ups with dropout, 1 = innermost (ngf*8-wide ones only)
    model.leaky_slope = 0.2  # slope of LeakyReLU below zero
    model.skip_first = True  # U-Net concatenation: [skip, up] (PyTorch), else [up, skip] (paper)
    model.skip_leaks = False  # U-Net skips pass LeakyReLU (TF tutorial), else ReLU
    model.upsample = "transposed"  # U-Net: or resize, x2, reflect pad, 3x3 conv (checkerboards)
    model.padding = "reflect"  # of the blocks of ResNet, enhancer: reflect, replicate or zero
    model.num_downs = 2  # ResNet: downsamplings; 4 make pix2pixHD's global generator
    model.local_enhancers = 1  # enhancer: times that it doubles the size of the global generator
    model.local_blocks = 3  # enhancer: residual blocks at each of these sizes
    model.fcn_convs = (2, 2, 3, 3, 3)  # FCN: convolutions of each of the five stages (VGG-16)
    model.fcn_split_upsampling = False  # FCN: x2 layers instead of the last upsampling
    model.antialias = False  # ResNet, PatchGAN: convolution and blur instead of strides (CUT)
    model.antialias_up = False  # ResNet: blur and convolution instead of transposed ones (CUT)
    model.projection_width = 256  # CUT: width of the projection head's two layers
    model.remat = False  # ResNet, enhancer: recompute blocks in the backward pass, to save memory
    model.discriminator = "patchgan"  # patchgan, or pixel (1x1 receptive field)
    model.ndf = 64  # filters of the discriminator's first layer
    model.n_layers = 3  # strided layers of the PatchGAN: 3 gives the 70x70 receptive field
    model.d_padding = 1  # border of the PatchGAN's convolutions (pix2pixHD: 2)
    model.d_widest = 0  # PatchGAN: most filters of a layer (pix2pixHD: 512); 0: 8 * ndf
    model.num_d = 1  # PatchGANs, for the whole size, half of it, and so on (pix2pixHD: 2 or 3)
    model.init_type = "normal"  # kernels: normal, xavier, kaiming or orthogonal
    model.init_gain = 0.02  # standard deviation (normal), or gain (xavier, orthogonal)
    model.init_bias = "zeros"  # biases: zeros, or torch (uniform, as PyTorch's layers)
    model.dtype = "float32"  # computation: float32 or bfloat16 (parameters stay float32)

    config.loss = loss = ml_collections.ConfigDict()
    loss.gan_mode = "vanilla"  # vanilla (cross entropy), lsgan (squares) or wgangp
    loss.lambda_gan = 1.0  # weight of the generator's adversarial loss; 0: no D, but for CycleGAN
    loss.lambda_l1 = 100.0  # weight of the L1 distance to the target; 0: none
    loss.lambda_feat = 0.0  # weight of the distance of the discriminator's features; 0: none
    loss.lambda_vgg = 0.0  # pix2pixHD: weight of the distance of VGG-19's features
    loss.vgg_weights = ""  # pix2pixHD: vgg19-dcbb9e9d.pth, or its folder; empty: no such distance
    loss.regression = "l1"  # regression: l1, or l2 (mean square)
    loss.lambda_hole = 6.0  # inpainting: weight of L1 inside the hole
    loss.lambda_valid = 1.0  # inpainting: weight of L1 outside the hole
    loss.lambda_a = 10.0  # CycleGAN: weight of the cycle A -> B -> A
    loss.lambda_b = 10.0  # CycleGAN: weight of the cycle B -> A -> B
    loss.lambda_identity = 0.5  # CycleGAN: weight of the identity loss, times lambda_a or lambda_b
    loss.pool_size = 50  # CycleGAN, pix2pixHD: older translations kept for a discriminator; 0: none
    loss.lambda_nce = 1.0  # CUT: weight of the patchwise contrastive loss
    loss.nce_identity = True  # CUT: that loss also between B and its translation (not FastCUT)
    loss.nce_layers = ("padded", "down_1", "down_2", "block_1", "block_5")  # CUT: of the generator
    loss.nce_patches = 256  # CUT: patches drawn in each of these layers; fewer if it has fewer
    loss.nce_temperature = 0.07  # CUT: what similarities of patches are divided by
    loss.flip_equivariance = False  # CUT: with probability 1/2 translate the mirrored image
    loss.conditional = True  # the discriminator sees the input beside the output
    loss.d_loss_factor = 0.5  # weight of the discriminator's (real + fake) loss
    loss.lambda_gp = 10.0  # weight of the gradient penalty (wgangp)
    loss.lambda_r1 = 0.0  # twice the weight of the R1 penalty of discriminators; 0: none
    loss.r1_every = 16  # steps between R1 penalties, which have so many times their weight
    loss.diff_augment = ()  # DiffAugment of what discriminators see: color, translation, cutout
    loss.update_order = "torch"  # D then G, CycleGAN G then D; simultaneous (TF); alternating (Lua)

    config.optim = optim = ml_collections.ConfigDict()
    optim.learning_rate = 2e-4  # Adam's step size
    optim.learning_rate_d = 0.0  # that of discriminators (TTUR); 0: as optim.learning_rate
    optim.beta1 = 0.5  # Adam's decay of the first moment
    optim.beta2 = 0.999  # Adam's decay of the second moment
    optim.eps = 1e-8  # Adam's epsilon, outside the square root
    optim.policy = "linear"  # linear, linear_late (pix2pixHD), step, plateau, cosine or constant
    optim.epochs = 100  # epochs at the constant learning rate (cosine: the half period)
    optim.epochs_decay = 100  # epochs of linear decay after that (trained under every policy)
    optim.epochs_frozen = 0  # pix2pixHD: first epochs, in which only the last enhancer is trained
    optim.decay_every = 50  # step: epochs between decays
    optim.decay_factor = 0.1  # step: factor that the learning rate is multiplied by
    optim.plateau_patience = 5  # plateau: validations without improvement before a decay
    optim.plateau_threshold = 0.01  # plateau: relative improvement that counts
    optim.plateau_factor = 0.2  # plateau: factor that the learning rate is multiplied by
    optim.ema_images = 0.0  # half-life of an average of the generators, in images (EMA); 0: none
    optim.ema_ramp = 0.05  # the half-life is at most this share of the images seen; 0: no ramp
    optim.epoch_count = 1  # number of the run's first epoch: fine-tuning may start at a later one

    config.train = train = ml_collections.ConfigDict()
    train.batch_size = 1  # images a step, over all devices
    train.num_devices = 0  # devices that share every batch; 0: as many as divide it evenly
    train.num_steps = 0  # steps to train; 0: optim.epochs + optim.epochs_decay epochs
    train.precision = "default"  # of float32 products: default (TF32, bfloat16 passes) or highest
    train.steps_per_call = 0  # at most so many steps in a dispatch; 0: 1 on CPU, 20 elsewhere
    train.log_every = 100  # steps between progress lines and TensorBoard scalars
    train.sample_every = 2000  # steps between sample grids; 0: only at the end
    train.eval_every = 4000  # steps between validations; 0: only at the end
    train.checkpoint_every = 4000  # between checkpoints, but for the best's; 0: only at the end
    train.keep_last = 2  # newest checkpoints kept
    train.best_metric = "l1"  # of the best checkpoint: l1, psnr, ssim, cycle_l1, hole_l1, ...
    train.allow_other_data = False  # continue a run although its data have changed
    train.num_samples = 6  # fixed validation images in each sample grid

    config.eval = evaluation = ml_collections.ConfigDict()
    evaluation.checkpoint = "best"  # checkpoint of eval and translate: best, latest or a step
    evaluation.batch_size = 8  # images computed at once; changes only speed (but see fit=tile)
    evaluation.noise_samples = 1  # outputs drawn for each image (dropout is the noise)
    evaluation.norm_mode = "batch"  # batch: each image's own statistics (paper); running: averages
    evaluation.dropout = True  # keep dropout on, as in the paper
    evaluation.set_metrics = ()  # beside L1, PSNR, SSIM: colors, fid, kid, lpips, segmentation
    evaluation.weights_dir = ""  # folder with the .pth files of metrics that take a network
    evaluation.fid_mode = "clean"  # how images are resized for fid and kid: clean or pytorch_fid
    evaluation.lpips_net = "alex"  # network of lpips: alex or vgg
    evaluation.segmenter = ""  # segmentation: a run from photograph to label map, or a DRN's .pth
    evaluation.average = True  # use the average of the generators' parameters (EMA) if there is one
    evaluation.direction = "both"  # CycleGAN: A2B, B2A or both
    evaluation.composite = True  # inpainting: pixels outside the hole stay as they were
    # translate, other sizes: resize to crop_size and back; scale: the same in the image's own
    # proportions; pad: at its own resolution, at once; tile: at its own resolution, in tiles of
    # crop_size, with constant memory. With an image's own statistics (norm_mode=batch, or instance
    # norm) its tiles share those of eval.batch_size of them, drawn at random, in place of all.
    evaluation.fit = "resize"  # or scale, pad, tile
    evaluation.tile_overlap = 0.25  # tile: part of its side that a tile shares with the next
    return config.lock()
