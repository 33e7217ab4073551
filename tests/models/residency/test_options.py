"""Settings for all models, and overrides for one."""

from models.residency.options import ModelDefaults, ModelOptions
from models.types import Sampling

OWN = ModelOptions(context=2048, kv_type="q8_0", gpu_layers=3, idle_s=0.0, sampling={"temperature": 0.2, "top_k": 7})
ALL = ModelDefaults(context=512, gpu_layers=-1, models={"m": OWN})


def test_a_models_own_settings_override_the_defaults() -> None:
    own, other = ALL.settings("m"), ALL.settings("other")
    assert (own.context, own.kv_type, own.gpu_layers, own.batch) == (2048, "q8_0", 3, other.batch)
    assert (other.context, other.kv_type, other.gpu_layers) == (512, "f16", 0)
    assert (ALL.automatic_layers("m"), ALL.automatic_layers("other")) == (False, True)
    assert (ALL.idle_of("m"), ALL.idle_of("other")) == (0.0, ALL.idle_s)


def test_a_models_sampling_fills_only_what_a_request_left_open() -> None:
    asked = Sampling(temperature=0.8, top_k=40, seed=1)
    filled = ALL.sampling("m", asked, {"temperature", "min_p"})
    assert (filled.temperature, filled.top_k, filled.seed) == (0.2, 40, 1)
    assert filled.model_fields_set == {"temperature", "top_k", "seed"}, "what nobody chose stays open"
    assert ALL.sampling("other", asked, {"temperature"}) == asked
