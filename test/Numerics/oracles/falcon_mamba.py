"""Falcon-Mamba: Mamba's model with RMS norms without weight on B, C and the low-rank step."""
from .common import Layer
from .mamba import MODEL, language_model, model_weights, tokens

LAYERS = {
    "FalconMambaLM": Layer(
        language_model,
        [MODEL | dict(bcdt_rms_eps=1e-6), MODEL | dict(D=12, depth=3, dt_rank=2, tied=False, bcdt_rms_eps=1e-3)],
        model_weights, tokens),
}
