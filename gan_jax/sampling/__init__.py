"""How a trained state makes samples: a `Sampler` of a game and a `SamplingRecipe`."""
