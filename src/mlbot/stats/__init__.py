"""The statistics that a verdict rests on: numpy and scipy.special only, arrays in, plain numbers out."""
