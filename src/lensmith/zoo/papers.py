"""The networks of the papers: when, by whom, the idea in a line, and their numbers. A plain table, no torch.

Parameters and multiply-adds are of the whole network with the classes it was published with, for one colour picture of
`image_size` pixels. Counted are the multiply-adds of convolutions and dense layers; a test counts them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Numbers:
    """How large a network is. `image_size`: side in pixels of the picture that its multiply-adds are for."""

    image_size: int
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Paper:
    """A paper and its networks, by the name that `--network` takes."""

    year: int
    authors: str
    idea: str
    networks: Mapping[str, Numbers]


PAPERS = (
    Paper(
        1998,
        "LeCun, Bottou, Bengio and Haffner",
        "Features are learned, not designed: small shared filters, subsampled.",
        {
            "lenet5/1998": Numbers(32, 60_000, 326_520),
            "lenet5": Numbers(32, 62_006, 651_720),
        },
    ),
    Paper(
        2012,
        "Krizhevsky, Sutskever and Hinton",
        "The same, larger, for photographs: ReLU, dropout, two GPUs.",
        {"alexnet/2012": Numbers(227, 60_965_224, 724_406_816)},
    ),
    Paper(
        2013,
        "Zeiler and Fergus",
        "AlexNet mended by looking inside: smaller first filters and strides.",
        {"zfnet": Numbers(224, 62_357_608, 1_168_032_896)},
    ),
    Paper(
        2013,
        "Lin, Chen and Yan",
        "A small network at every place (1x1 convolutions); class maps, averaged.",
        {"nin": Numbers(32, 966_986, 222_365_568)},
    ),
    Paper(
        2014,
        "Krizhevsky",
        "AlexNet in one tower, its data or its layers spread over GPUs.",
        {"torchvision/alexnet": Numbers(224, 61_100_840, 714_188_480)},
    ),
    Paper(
        2014,
        "Simonyan and Zisserman",
        "Nothing but 3x3 convolutions and pooling, and much deeper.",
        {
            "torchvision/vgg16": Numbers(224, 138_357_544, 15_470_264_320),
            "torchvision/vgg19": Numbers(224, 143_667_240, 19_632_062_464),
        },
    ),
    Paper(
        2014,
        "Szegedy, Liu, Jia and others",
        "Filters of several sizes side by side, behind 1x1 bottlenecks.",
        {
            "googlenet/2014": Numbers(224, 6_998_552, 1_582_671_872),
            "torchvision/googlenet": Numbers(224, 6_624_904, 1_498_376_192),
        },
    ),
    Paper(
        2015,
        "Ioffe and Szegedy",
        "Every map brought to one scale over the batch; two 3x3 for a 5x5.",
        {"inception_v2": Numbers(224, 11_188_288, 1_934_857_216)},
    ),
    Paper(
        2015,
        "Szegedy, Vanhoucke, Ioffe, Shlens and Wojna",
        "Filters factored further, 7x7 into 1x7 and 7x1; smoothed labels.",
        {"torchvision/inception_v3": Numbers(299, 23_834_568, 5_713_216_096)},
    ),
    Paper(
        2015,
        "He, Zhang, Ren and Sun",
        "Layers learn what to add to their input, so depth does no harm.",
        {
            "resnet20": Numbers(32, 269_722, 40_551_040),
            "resnet32": Numbers(32, 464_154, 68_862_592),
            "resnet44": Numbers(32, 658_586, 97_174_144),
            "resnet56": Numbers(32, 853_018, 125_485_696),
            "resnet110": Numbers(32, 1_727_962, 252_887_680),
            "plain20": Numbers(32, 269_722, 40_551_040),
            "plain32": Numbers(32, 464_154, 68_862_592),
            "plain44": Numbers(32, 658_586, 97_174_144),
            "plain56": Numbers(32, 853_018, 125_485_696),
            "plain110": Numbers(32, 1_727_962, 252_887_680),
            "torchvision/resnet18": Numbers(224, 11_689_512, 1_814_073_344),
            "torchvision/resnet34": Numbers(224, 21_797_672, 3_663_761_408),
            "torchvision/resnet50": Numbers(224, 25_557_032, 4_089_184_256),
            "torchvision/resnet101": Numbers(224, 44_549_160, 7_801_405_440),
            "torchvision/resnet152": Numbers(224, 60_192_808, 11_513_626_624),
        },
    ),
    Paper(
        2016,
        "Iandola, Han, Moskewicz and others",
        "AlexNet's answers from a fiftieth of its weights: squeeze, then expand.",
        {"torchvision/squeezenet1_0": Numbers(224, 1_248_424, 818_924_576)},
    ),
    Paper(
        2016,
        "Szegedy, Ioffe, Vanhoucke and Alemi",
        "Inception made uniform; and the same with residual connections.",
        {
            "timm/inception_v4": Numbers(299, 42_679_816, 12_253_974_624),
            "timm/inception_resnet_v2": Numbers(299, 55_843_464, 13_155_794_016),
        },
    ),
    Paper(
        2016,
        "Chollet",
        "Inception to its end: each channel by itself, then 1x1 across them.",
        {"timm/legacy_xception": Numbers(299, 22_855_952, 8_357_403_496)},
    ),
    Paper(
        2017,
        "Howard, Zhu, Chen and others",
        "Separable convolutions throughout, for telephones.",
        {"timm/mobilenetv1_100": Numbers(224, 4_231_976, 568_740_352)},
    ),
    Paper(
        2018,
        "Sandler, Howard, Zhu, Zhmoginov and Chen",
        "Residual blocks turned inside out: narrow outside, wide within.",
        {"torchvision/mobilenet_v2": Numbers(224, 3_504_872, 300_774_272)},
    ),
    Paper(
        2019,
        "Howard, Sandler, Chu and others",
        "The plan found by search; channels weighted by what the picture shows.",
        {
            "torchvision/mobilenet_v3_small": Numbers(224, 2_542_856, 56_510_400),
            "torchvision/mobilenet_v3_large": Numbers(224, 5_483_032, 216_589_760),
        },
    ),
)
PAPER_OF: dict[str, Paper] = {name: paper for paper in PAPERS for name in paper.networks}
