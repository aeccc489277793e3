"""What the measurements mean, in the words a reader needs to judge them. One entry a protocol, by its name."""

PROTOCOLS = {
    "linear/1": (
        "Multinomial logistic regression on the frozen embedding of clean images. A share of each class of the "
        "training set is held out; features are standardised with the statistics of the rest. One head "
        "for each learning rate and weight decay is trained on the rest (SGD, momentum 0.9, cosine to zero, at least "
        "1,000 updates); the head of lowest cross-entropy on the held-out part is applied to the test set, once. Test "
        "labels choose nothing. The interval of a single run is a 95 % percentile bootstrap over test images."
    ),
    "knn/1": (
        "A vote of the k nearest training images by cosine similarity of standardised embeddings, each vote weighing "
        "exp(similarity / 0.07). The bank is the whole training set; nothing is selected."
    ),
    "ridge/1": (
        "Ridge regression from the standardised embedding to centred one-hot labels, in closed form; the penalty of "
        "least squared error on a held-out share of the training set. The largest score answers."
    ),
    "logistic/1": (
        "Multinomial logistic regression by L-BFGS to its optimum; the penalty of lowest cross-entropy on a held-out "
        "share of the training set."
    ),
    "few_shot/1": (
        "Logistic regression with a fixed penalty on a few labelled training images of each class, drawn many times; "
        "features are standardised with the statistics of all training images, which needs no label. The deviation "
        "is over draws."
    ),
    "attentive/1": (
        "One learned query attends over the tokens of the frozen encoder, and a linear layer reads what it gathered; "
        "the learning rate of lowest cross-entropy on a held-out share of the training set."
    ),
    "finetune/1": (
        "Not frozen: the encoder and a linear head are trained together with all labels, on crops and flips; the last "
        "weights answer, nothing is selected."
    ),
    "head/1": "The classifier that the objective itself trained with all labels, on clean test images.",
}
COMMON = ("feature_point", "layer", "standardise")
SETTINGS = {
    "linear/1": ("held_out", "probe_epochs", "probe_batch_size", "learning_rates", "weight_decays", "seed"),
    "knn/1": ("knn_k",),
    "few_shot/1": ("shots", "draws", "seed"),
    "attentive/1": ("held_out", "probe_batch_size", "seed"),
    "finetune/1": ("finetune_epochs", "probe_batch_size", "seed"),
    "head/1": (),
}
BANDS = (
    "Images are split into bands by an orthogonal basis: principal components of the training images, or of their "
    "patches, in index bands; or rings of radial frequency up to 0.5 cycles per pixel (the last holds the corners of "
    "the frequency plane too), of a Fourier transform or of a cosine transform, which sees no edge where the left "
    "border meets the right one. "
    "Band 0 carries the most variance (principal components) or the lowest frequencies.",
    "Decodability is the R² on held-out images of a ridge regression from the frozen embedding to the band's "
    "coefficients; 0 is what the mean image gives, 1 is all of the band. Every objective has it. Its half-time is when "
    "it first reached half of its final value; an untrained network may be there from the start.",
    "Relative error is the energy of the reconstruction's error in a band over the energy of the images there; only "
    "objectives that reconstruct have it. Its half-time is when it first fell to one half.",
    "Sensitivity is how far the embedding moves, in units of its own spread, when a random change of fixed norm is "
    "made in a band. Accuracies on filtered images are those of a ridge classifier fitted to clean images and then "
    "frozen: they show what it relies on, not what could be read with a probe of its own.",
    "Half-times are interpolated between snapshots on a logarithmic axis of samples seen.",
)


def describe(protocol: str) -> str:
    """A protocol in prose; for one this version does not know, that it does not."""
    return PROTOCOLS.get(protocol, "A protocol this version has no description of; see the version that made the runs.")


def settings_of(protocol: str) -> tuple[str, ...]:
    """The settings of an evaluation that a protocol uses."""
    own = SETTINGS.get(protocol, ("held_out", "seed"))
    return own if protocol in ("head/1", "finetune/1") else (*COMMON, *own)
