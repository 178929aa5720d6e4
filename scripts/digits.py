"""Writes the 8 x 8 digits that come with scikit-learn as two .npz files for `banff import npz`: experiment C of
jobs/lipschitz-toys. Every digit is doubled to 16 x 16 and stacked with a null block, the same in all images (a frame with
a cross): 32 x 16 pixels, u8. One digit in four is for testing, with the null block above or below it at random; those for
training are there in both forms. Usage: python3 scripts/digits.py TRAIN.npz TEST.npz"""
import sys

try:
    import numpy
    from sklearn.datasets import load_digits
except ImportError as error:
    sys.exit(f"digits.py: {error}. The digits are part of scikit-learn: install python3-sklearn (Debian), or scikit-learn "
             "by pip, and name that Python by PYTHON=...")

digits = load_digits()
images = numpy.rint(digits.images * (255 / 16)).astype(numpy.uint8).repeat(2, axis=1).repeat(2, axis=2)
null = numpy.zeros((16, 16), numpy.uint8)
null[1:15, 1] = null[1:15, 14] = null[1, 1:15] = null[14, 1:15] = 255
for i in range(4, 12):
    null[i, i] = null[i, 15 - i] = 255
null = numpy.broadcast_to(null, images.shape)
forms = [numpy.concatenate(pair, axis=1) for pair in ((null, images), (images, null))]
labels = digits.target.astype(numpy.int64)
draw = numpy.random.default_rng(0)
test = draw.permutation(len(images)) % 4 == 0
above = draw.random(len(images)) < 0.5
train = [form[~test] for form in forms]
numpy.savez_compressed(sys.argv[1], images=numpy.concatenate(train), labels=numpy.concatenate([labels[~test]] * 2))
numpy.savez_compressed(sys.argv[2], images=numpy.where(above[:, None, None], *forms)[test], labels=labels[test])
