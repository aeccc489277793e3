"""What the measurements mean, in the words a reader needs to judge them. One entry a protocol, by its name."""

PROTOCOLS = {
    "linear/1": (
        "Multinomial logistic regression on the frozen embedding of clean images. A share of each class of the "
        "training set is held out; features are standardised with the statistics of the rest. One head a learning rate "
        "is trained on the rest (SGD, momentum 0.9, cosine to zero, no weight decay, at least 1,000 updates); the head "
        "of lowest cross-entropy on the held-out part is applied to the test set, once. Test labels choose nothing. "
        "The interval of a single run is a 95 % percentile bootstrap over test images."
    ),
    "knn/1": (
        "A vote of the k nearest training images by cosine similarity of standardised embeddings, each vote weighing "
        "exp(similarity / 0.07). The bank is the whole training set; nothing is selected."
    ),
}
BANDS = (
    "Images are split into bands by an orthogonal basis: principal components of the training images in index bands, "
    "or rings of radial frequency up to 0.5 cycles per pixel (the last holds the corners of the frequency plane too). "
    "Band 0 carries the most variance (principal components) or the lowest frequencies.",
    "Decodability is the R² on held-out images of a ridge regression from the frozen embedding to the band's "
    "coefficients; 0 is what the mean image gives, 1 is all of the band. Every objective has it. Its half-time is when "
    "it first reached half of its final value; an untrained network may be there from the start.",
    "Relative error is the energy of the reconstruction's error in a band over the energy of the images there; only "
    "objectives that reconstruct have it. Its half-time is when it first fell to one half.",
    "Half-times are interpolated between snapshots on a logarithmic axis of samples seen.",
)


def describe(protocol: str) -> str:
    """A protocol in prose; for one this version does not know, that it does not."""
    return PROTOCOLS.get(protocol, "A protocol this version has no description of; see the version that made the runs.")
