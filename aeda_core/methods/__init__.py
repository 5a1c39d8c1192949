"""What an epoch does, one file a family. A new method is a new file and a line here."""

from aeda_core.methods.adversarial_debiasing import AdversarialDebiasing
from aeda_core.methods.aeda import AEDAOnce, AEDAOnline, AEDAPre, AEDARobust, AEDARobustPerBatch, AEDARobustWarm
from aeda_core.methods.cyclegan import CycleGAN
from aeda_core.methods.few_shot import FewShot
from aeda_core.methods.label_switch import AdversarialSwitch, HardSwitch
from aeda_core.methods.learner import Plan
from aeda_core.methods.original import Original
from aeda_core.methods.resampling import EmptyGroup, Undersampling
from aeda_core.methods.reweighting import Reweighting

METHODS: dict[str, type[Original]] = {
    "original": Original,
    "undersampling": Undersampling,
    "reweighting": Reweighting,
    "adversarial_debiasing": AdversarialDebiasing,
    "cyclegan": CycleGAN,
    "aeda_pre": AEDAPre,
    "aeda_once": AEDAOnce,
    "aeda_online": AEDAOnline,
    "aeda_robust": AEDARobust,
    "aeda_robust_per_batch": AEDARobustPerBatch,  # ours, never in place of the paper's
    "aeda_robust_warm": AEDARobustWarm,  # ours, too
    "oracle": Original,  # on data without the bias: the ceiling
}

STUDIES: dict[str, type[Original]] = {
    "hard_switch": HardSwitch,
    "adversarial_switch": AdversarialSwitch,
    "few_shot": FewShot,
}
"""What is trained to find something else out (Sec. 2.2, App. B); no row of the tables of methods against bias."""

__all__ = ["METHODS", "STUDIES", "EmptyGroup", "Original", "Plan"]
