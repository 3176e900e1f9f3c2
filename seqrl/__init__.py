"""seqrl: reinforcement learning as sequence modeling, in PyTorch.

One legend of shapes, the same letters in every module:

    B  batch                 D  width of the model
    K  context, timesteps    N  observation dimensions
    H  planning horizon      M  action dimensions
    T  tokens                V  vocabulary
    E  environments stepped together
"""

__version__ = "0.1.0"
