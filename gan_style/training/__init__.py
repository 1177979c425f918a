"""What helps a training: callbacks, checkpoints, diagnosis, schedules, plans."""

import lazy_loader

_NAMES = {
    "callbacks": ["LossCurves", "TranslationGrid"],
    "checkpoints": ["SaveAndResume"],
    "diagnosis": ["Diagnosis", "Finding"],
    "stopping": ["StopAtBest"],
    "schedules": ["constant_then_linear"],
    "distribution": ["train"],
    "planning": ["TrainingPlan", "plan_training"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_NAMES)
