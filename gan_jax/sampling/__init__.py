"""How a trained state makes samples."""
