"""Neural style transfer: the losses, the objective, and the descent on pixels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "transfer": ["StyleTransfer"],
        "losses": [
            "content_loss",
            "convert_weights",
            "gram_matrix",
            "style_loss",
            "total_variation_loss",
        ],
        "checkpoints": ["default_scales", "default_steps"],
        "planning": ["StylePlan", "plan_style"],
    },
)
