"""What a pixel is: every formula of the engine, once.

This module imports nothing. `bind` compiles it for each executor with the names that it uses
(`floor`, `where`, `minimum`, `maximum`, `absolute`, `sqrt`, `divide`, `quotient`, those that take words,
and the float32 constants in capitals) bound to that executor's own: torch tensors, NumPy arrays, numba
scalars, Triton blocks. No function branches on a value: `where` serves scalars and blocks alike.

Each operation is one that IEEE 754 defines to the last bit, and none is fused with the next: all
executors then agree, on noise too. Libraries' logarithms and cosines do not, nor are they vectors.

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


# Filters of a view: the triangle, and cubics


def first_tap(point, support):
    """The first source pixel whose centre lies within `support` of `point` (support 0: the nearest)."""
    return floor(point - maximum(support, HALF) + HALF)


def tap_weight(tap, point, reciprocal):
    """Triangle of half-width 1/reciprocal around `point`, for the pixel number `tap`; not normalised.
    A reciprocal of 0 (nearest) weighs 1."""
    return maximum(ONE - absolute((tap + HALF) - point) * reciprocal, ZERO)


def cubic_weight(tap, point, reciprocal, slope):
    """Keys' cubic of half-width 1/reciprocal around `point`, for the pixel number `tap`; not normalised.
    slope: the filter's slope halfway to its end, −½ for PIL's bicubic. Some weights are below 0."""
    distance = absolute((tap + HALF) - point) * (reciprocal + reciprocal)
    far = where(distance < TWO, cubic_far(distance, slope), ZERO)
    return where(distance < ONE, cubic_near(distance, slope), far)


def cubic_near(distance, slope):
    """Keys' cubic of half-width 2 at a distance of 0 … 1 from its middle."""
    return ((slope + TWO) * distance - (slope + THREE)) * (distance * distance) + ONE


def cubic_far(distance, slope):
    """The same at a distance of 1 … 2. For any share of a pixel the four weights add up to 1."""
    return (((distance - FIVE) * distance + EIGHT) * distance - FOUR) * slope


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


def cut_entry(value):
    """The entry of a 256-entry curve where sources are floats: torchvision's byte of a float."""
    return floor(clamp(value) * CUT_BYTES)


def power(base, exponent):
    """base ** exponent, of a base in [0, 1], to 3e-7: where a rounding of the logarithm is multiplied by
    most, the power is next to nothing."""
    small = base < LEAST_NORMAL
    log = log2(where(small, base * TO_NORMAL, base)) - where(small, NORMAL_SHIFT, ZERO)
    return where(base > ZERO, exp2(maximum(log * exponent, LEAST_LOG)), ZERO)


def exp2(value):
    """2 to the power of a value in [−126, 127], to 2 ulps."""
    whole = floor(value + HALF)
    part = value - whole
    square = part * part
    high = (EXP_6 * square + (EXP_5 * part + EXP_4)) * square + (EXP_3 * part + EXP_2)
    scale = bits_float(to_word((whole + BIAS) * TO_EXPONENT))
    return (high * square + (EXP_1 * part + ONE)) * scale


def gamma(value, exponent, gain):
    """A GAMMA step. Where sources are bytes, of the value of the nearest byte."""
    return clamp(power(clamp(value), exponent) * gain)


# A TONE step of sources of bytes, in whole bytes: value → byte, the first three in order, byte → value. At
# threshold 256, at low 0 and scale 1, and at step 1 they return the very byte, so an executor may leave
# them out. An ADD_BELOW step: value → byte, the last, byte → value.


def solarized(byte, threshold):
    return where(byte >= threshold, MAX_BYTE - byte, byte)


def stretched(byte, low, scale):
    return floor(minimum(maximum(divide(byte - low, scale), ZERO), MAX_BYTE))


def posterized(byte, step, inverse_step):
    return floor(byte * inverse_step) * step


def added_below(byte, threshold, amount):
    return where(byte < threshold, minimum(maximum(byte + amount, ZERO), MAX_BYTE), byte)


# The same of other sources, in values: of `clamp(value)`, these three in order; and the last.


def solarized_value(value, threshold):
    return where(value >= divide(threshold, MAX_BYTE), ONE - value, value)


def stretched_value(value, low, scale):
    return clamp(divide(value - low * PER_BYTE, scale))


def posterized_value(value, step, inverse_step):
    """As torchvision of floats: 256 / step levels from 0 on, the highest of which is not 1."""
    levels = BYTES * inverse_step
    level = maximum(minimum(floor(value * levels), levels - ONE), ZERO)
    return where(step == ONE, value, level * (step * PER_BYTES))


def added_below_value(value, threshold, amount):
    more = clamp(value + divide(amount, MAX_BYTE))
    return where(value < divide(threshold, MAX_BYTE), more, value)


def from_byte(byte):
    return byte * PER_BYTE


def turned_colour(r, g, b, turns):
    """The colour with its hue turned, 1 being the whole circle. (HSV, as torchvision and colorsys.)"""
    high = maximum(maximum(r, g), b)
    spread = high - minimum(minimum(r, g), b)
    # In sixths of a turn: red stands at 0, green at 2, blue at 4. Grey has 0.
    difference = where(high == r, g - b, where(high == g, b - r, r - g))
    part = difference * divide(ONE, where(spread > ZERO, spread, ONE))
    hue = where(high == r, part, where(high == g, part + TWO, part + FOUR)) + SIX * turns
    hue = hue - SIX * floor(hue * SIXTH)
    return (
        high - spread * clamp(TWO - absolute(hue - THREE)),
        high - spread * clamp(absolute(hue - TWO) - ONE),
        high - spread * clamp(absolute(hue - FOUR) - ONE),
    )


# Noise, from 32-bit words


def log2(value):
    """The logarithm to base 2 of a positive normal float32, to 3 ulps."""
    bits = add_word(float_bits(value), FROM_ROOT)
    # value is 2^exponent · (1 + part), where 1 + part lies in [√½, √2).
    exponent = to_signed_float(bits & EXPONENT_BITS) * PER_EXPONENT - BIAS
    part = bits_float(add_word(bits & FRACTION_BITS, ROOT_OF_HALF)) - ONE
    square = part * part
    high = (LOG_8 * square + (LOG_7 * part + LOG_6)) * square + (LOG_5 * part + LOG_4)
    low = (LOG_3 * part + LOG_2) * square + (LOG_1 * part + LOG_0)
    return exponent + (high * (square * square) + low) * part


def cosine(word):
    """Of the angle word / 2^32 of a turn, to 2e-7: the sine of what is missing to a quarter turn."""
    rest = QUARTER - absolute((to_signed_float(word) + HALF) * TO_UNIT)
    square = rest * rest
    sum_ = ((SIN_9 * square + SIN_7) * square + SIN_5) * square + SIN_3
    return (sum_ * square + SIN_1) * rest


def normal_pair(word_radius, word_angle):
    """Box and Muller: two independent standard normal numbers from two 32-bit words. Their error is
    below 4e-7 times the radius, which is 6.8 at most."""
    radius = sqrt(log2(uniform_of(word_radius)) * TO_RADIUS)
    sine = cosine(add_word(word_angle, BACK_A_QUARTER))
    return radius * cosine(word_angle), radius * sine


def uniform_of(word):
    """A number in (0, 1] from a 32-bit word."""
    return (to_float(word) + HALF) * TO_UNIT


def impulse(value, uniform, salt, amount):
    """White for a share `salt` of all uniform numbers, black up to the share `amount`."""
    return where(uniform <= salt, ONE, where(uniform <= amount, ZERO, value))


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


def shaded(value, x, y, across_x, across_y, offset, gain):
    """A value at the point (x, y) of a picture, one side of whose edge lies in the shadow. The edge is a
    pixel wide; what is lit stays to the bit."""
    lit = clamp(((x * across_x + y * across_y) - offset) + HALF)
    return value * (ONE - (ONE - lit) * (ONE - gain))


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
