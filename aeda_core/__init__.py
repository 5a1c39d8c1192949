"""aeda_core: adversarial example-based data augmentation for visual debiasing (Zhang and Sang, ACM MM 2020)."""

__version__ = "0.1.0"
