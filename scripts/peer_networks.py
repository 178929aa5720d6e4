"""Networks of Banff's configurations written out in PyTorch, for scripts/bench_peer.py and scripts/compare_torch.py.

The order in which layers are made is the order in which Banff numbers them (conv1, norm1, conv2, ...), so that weights can be handed
over one after the other. Nothing here is a dependency of Banff.
"""
import torch
import torch.nn as nn


class FlattenHWC(nn.Module):
    """[N, C, H, W] -> [N, H * W * C]: the order in which Banff's dense layers see a picture."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def conv_bn(inputs, outputs, kernel, stride=1):
    return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    """Residual block of two 3x3 convolutions, or of 1x1, 3x3 and 1x1 to four times the width."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            layers = conv_bn(inputs, width, 1) + [nn.ReLU(inplace=True)] + conv_bn(width, width, 3, stride)
        else:
            layers = conv_bn(inputs, width, 3, stride)
        layers += [nn.ReLU(inplace=True)] + conv_bn(width, outputs, 1 if bottleneck else 3)
        nn.init.zeros_(layers[-1].weight)
        self.branch = nn.Sequential(*layers)
        plain = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if plain else nn.Sequential(*conv_bn(inputs, outputs, 1, stride))

    def forward(self, x):
        return torch.relu_(self.branch(x) + self.shortcut(x))


def resnet(counts, bottleneck, channels=3, classes=1000, small=False):
    width = 16 if small else 64
    layers = conv_bn(channels, width, 3 if small else 7, 1 if small else 2) + [nn.ReLU(inplace=True)]
    if not small:
        layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = width
    for stage, count in enumerate(counts):
        for i in range(count):
            layers.append(Block(inputs, width, 2 if stage > 0 and i == 0 else 1, bottleneck))
            inputs = 4 * width if bottleneck else width
        width *= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def resnet18(channels=3, classes=1000):
    return resnet((2, 2, 2, 2), False, channels, classes)


def resnet50(channels=3, classes=1000):
    return resnet((3, 4, 6, 3), True, channels, classes)


def resnet20(channels=3, classes=10):
    return resnet((3, 3, 3), False, channels, classes, small=True)


def cnn(channels=1, classes=10, size=28):
    """jobs/fashion-lipschitz/cnn.yaml"""
    return nn.Sequential(
        *conv_bn(channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2), *conv_bn(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        FlattenHWC(), nn.Linear(64 * (size // 4) ** 2, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, classes))


def vgg_bn(channels=1, classes=10, size=32):
    """Pairs of 3x3 convolutions with batch normalisation, as compare_torch.py configures them."""
    return nn.Sequential(
        *conv_bn(channels, 16, 3), nn.ReLU(), *conv_bn(16, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
        *conv_bn(16, 32, 3), nn.ReLU(), *conv_bn(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        FlattenHWC(), nn.Linear(32 * (size // 4) ** 2, 64), nn.ReLU(), nn.Linear(64, classes))


def load_banff(net, arrays):
    """Gives every layer the arrays of the name that Banff has for it. Errors: KeyError, ValueError."""
    kinds = {nn.Conv2d: "conv", nn.BatchNorm2d: "norm", nn.Linear: "dense"}
    layers = [m for m in net.modules() if type(m) in kinds]
    count, used = {}, set()
    for i, layer in enumerate(layers):
        kind = kinds[type(layer)]
        count[kind] = count.get(kind, 0) + 1
        name = "head" if i == len(layers) - 1 else f"{kind}{count[kind]}"
        fields = {"weight": layer.weight, "bias": layer.bias}
        if kind == "norm":
            fields.update(mean=layer.running_mean, var=layer.running_var)
        for field, to in fields.items():
            if to is None:
                continue
            value = torch.from_numpy(arrays[f"{name}.{field}"])
            if value.shape != to.shape:
                raise ValueError(f"{name}.{field}: {tuple(value.shape)} in Banff, {tuple(to.shape)} in PyTorch")
            with torch.no_grad():
                to.copy_(value)
            used.add(f"{name}.{field}")
    if set(arrays) != used:
        raise ValueError(f"arrays without a layer: {sorted(set(arrays) - used)}")
