from __future__ import annotations

import torch

from flowkit.layers import Conv1x1, Shape


def test_the_kept_inverse_follows_the_weight():
    torch.manual_seed(0)
    layer = Conv1x1(Shape(4, 1)).double()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        layer.inverse(x)
        kept = layer._cache
        layer.inverse(x)
        assert layer._cache is kept
        layer.weight.mul_(2).add_(0.1 * torch.randn(4, 4))
        back, log_det = layer.inverse(layer(x)[0])
        torch.testing.assert_close(back, x)
        torch.testing.assert_close(log_det, -15 * torch.linalg.slogdet(layer.weight)[1].expand(2))
        layer.load_state_dict(Conv1x1(Shape(4, 1)).state_dict())
        torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x)
