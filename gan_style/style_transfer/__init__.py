"""Neural style transfer: the losses, the objective, and the descent on pixels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "losses": ["content_loss", "gram_matrix", "style_loss", "total_variation_loss"],
        "planning": ["StylePlan", "default_scales", "default_steps", "plan_style"],
        "recipes": ["CONVENTIONS", "convert_weights"],
        "transfer": ["Result", "StyleTransfer"],
    },
)
