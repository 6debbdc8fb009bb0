"""What a pixel is: every formula of the engine, once.

This module imports nothing. `bind` compiles it for each executor with the names that it uses
(`floor`, `where`, `minimum`, `maximum`, `absolute`, `cos`, `sin`, `divide`, `quotient`, `to_float`,
`normal_radius`, and the float32 constants in capitals) bound to that executor's own: torch tensors,
NumPy arrays, numba scalars, Triton blocks. No function branches on a value: `where` serves scalars and
blocks alike.

Values are in [0, 1] where nothing else is said. A `point` is a place along one axis of a source, in
pixels; the centre of pixel i lies at i + 0.5. A `tap` is the number of a pixel that is weighed.
"""


def clamp(value):
    return minimum(maximum(value, ZERO), ONE)


# Where an output pixel looks


def project(x, y, m0, m1, m2):
    """One row of `inv_matrix @ (x, y, 1)`: two products, two sums, in this order and unfused, so
    that all executors agree to the last bit on which side of an edge a point falls."""
    return (m0 * x + m1 * y) + m2


def seen_from(point, w):
    """The perspective division point / w. What lies on the horizon or behind it is far away, where it
    is outside of everything, so that 0 / 0 is no question. Nothing is farther away than that."""
    ahead = w > HORIZON
    divided = point * divide(ONE, where(ahead, w, ONE))
    return where(ahead, edge(divided, FAR_AWAY, -FAR_AWAY), FAR_AWAY)


def inside(x, y, x0, y0, x1, y1):
    """Both edges belong to the rectangle, so that a flip of the image flips the answer. An empty
    rectangle has nothing inside."""
    return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1) & (x0 < x1) & (y0 < y1)


def edge(point, low, high):
    return minimum(maximum(point, low), high)


def fold(point, low, high):
    """Reflect into [low, high], as often as needed: a triangle wave, the identity inside."""
    length = maximum(high - low, TINY)
    turns = (point - low) * divide(HALF, length)
    wave = absolute(turns - floor(turns + HALF)) * (length + length) + low
    # Rounding takes a wave's crest past its end.
    return where((point >= low) & (point <= high), point, edge(wave, low, maximum(low, high)))


# The triangle filter


def first_tap(point, support):
    """The first source pixel whose centre lies within `support` of `point` (support 0: the nearest)."""
    return floor(point - maximum(support, HALF) + HALF)


def tap_weight(tap, point, reciprocal):
    """Triangle of half-width 1/reciprocal around `point`, for the pixel number `tap`; not normalised.
    A reciprocal of 0 (nearest) weighs 1."""
    return maximum(ONE - absolute((tap + HALF) - point) * reciprocal, ZERO)


def second_share(tap, point):
    """What two taps of support 1, `tap` and the next, come to when normalised: the second's share.
    Where the first was shifted to stay in the clip, the nearer one gets all."""
    return clamp(point - (tap + HALF))


# Colour steps


def matrix_row(r, g, b, m0, m1, m2, m3):
    return clamp(((m0 * r + m1 * g) + m2 * b) + m3)


def gain_offset(value, gain, offset):
    """What a MATRIX step does where its matrix is diagonal."""
    return clamp(value * gain + offset)


def curve_entry(value):
    """The entry of a 256-entry curve: the nearest, halves up. A whole number, as a float."""
    return floor(clamp(value) * MAX_BYTE + HALF)


# A TONE step, in whole bytes: value → byte, these three in order, byte → value. At threshold 256, at
# low 0 and scale 1, and at step 1 they return the very byte, so an executor may leave them out.


def solarized(byte, threshold):
    return where(byte >= threshold, MAX_BYTE - byte, byte)


def stretched(byte, low, scale):
    return floor(minimum(maximum(divide(byte - low, scale), ZERO), MAX_BYTE))


def posterized(byte, step, inverse_step):
    return floor(byte * inverse_step) * step


def from_byte(byte):
    return byte * PER_BYTE


def hue_angle(r, g, b):
    """Hue in sixths of a turn, [0, 6); grey has 0. (HSV, as torchvision and colorsys.)"""
    high = maximum(maximum(r, g), b)
    spread = high - minimum(minimum(r, g), b)
    inverse = divide(ONE, where(spread > ZERO, spread, ONE))
    from_red = (g - b) * inverse
    from_green = (b - r) * inverse + TWO
    from_blue = (r - g) * inverse + FOUR
    angle = where(high == r, from_red, where(high == g, from_green, from_blue))
    angle = where(angle < ZERO, angle + SIX, angle)
    return where(spread > ZERO, angle, ZERO)


def turned_hue(r, g, b, turns):
    """The hue in sixths after a turn, 1 being the whole circle."""
    return hue_angle(r, g, b) + SIX * turns


def hue_channel(r, g, b, turned, offset):
    """One channel of the colour with the value and chroma of (r, g, b) and the hue `turned` (in
    sixths). offset: in sixths, where the channel stands on the circle."""
    high = maximum(maximum(r, g), b)
    spread = high - minimum(minimum(r, g), b)
    k = turned + offset
    k = k - SIX * floor(k * SIXTH)
    return high - spread * clamp(minimum(k, FOUR - k))


def red_of_hue(r, g, b, turned):
    return hue_channel(r, g, b, turned, FIVE)


def green_of_hue(r, g, b, turned):
    return hue_channel(r, g, b, turned, THREE)


def blue_of_hue(r, g, b, turned):
    return hue_channel(r, g, b, turned, ONE)


def normal_pair(word_radius, word_angle):
    """Box and Muller: two independent standard normal numbers from two 32-bit words."""
    radius = normal_radius((to_float(word_radius) + HALF) * TO_UNIT)
    angle = (to_float(word_angle) + HALF) * TO_TURN
    return radius * cos(angle), radius * sin(angle)


def add_noise(value, mean, sigma, deviate):
    return clamp(value + (mean + sigma * deviate))


# What a statistic makes of a step


def stretch_gain(low, high):
    """With `stretch_offset`: what takes low to 0 and high to 1. A flat channel stays as it is, and so
    does one whose gain would not be finite."""
    flat = high - low <= LEAST_SPREAD
    return where(flat, ONE, divide(ONE, where(flat, ONE, high - low)))


def stretch_offset(low, high, gain):
    return where(high - low <= LEAST_SPREAD, ZERO, -low * gain)


def stretch_low(low, high):
    """With `stretch_scale`, of bytes: what `stretched` takes to 0 … 255. A flat channel stays."""
    return where(high <= low, ZERO, low)


def stretch_scale(low, high):
    return where(high <= low, ONE, (high - low) * PER_BYTE)


def equalized(entry, before, step):
    """PIL's equalize, in whole numbers: what `entry` (0 … 255) becomes, `before` values being lower.
    step: the values that are not of the highest entry, divided by 255; 0 leaves all as they are."""
    spread = quotient(quotient(step, 2) + before, maximum(step, 1))
    return where(step == 0, entry, minimum(spread, 255))


# Filters: of bytes in 0 … 255, which are rounded, or of values in [0, 1]


def smoothed(around, value):
    """The 3×3 smoothing (1, 1, 1; 1, 5, 1; 1, 1, 1) / 13. around: the sum of the nine values."""
    return (around + FOUR * value) * THIRTEENTH


def sharpened(value, smooth, factor):
    """0 smooths, 1 changes nothing, 2 sharpens."""
    return smooth + factor * (value - smooth)


def half_up(value):
    return floor(value + HALF)


# Layers and the finish


def blend(under, over, alpha):
    """alpha 1 gives exactly `over`, alpha 0 exactly `under`."""
    return where(alpha == ONE, over, under + alpha * (over - under))


def normalise(value, gain, offset):
    """(value − mean) / std as gain = 1/std and offset = −mean/std, formed in float64 in the plan."""
    return value * gain + offset


def to_byte(value):
    """[0, 1] → 0…255, halves up. A whole number, as a float."""
    return floor(clamp(value) * MAX_BYTE + HALF)
