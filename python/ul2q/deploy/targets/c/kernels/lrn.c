/* x * (k + a * sum of x^2)^-beta: the power is that of the sum over k, with 30
   bits behind the point. */
typedef struct {
  int32_t channels, height, width;
  int32_t size, across;  /* of the neighbourhood; whether it is of channels */
  int32_t scale;         /* of the integers that are squared */
  int64_t start;         /* k */
  const int32_t* growth; /* a, for each kind of place */
  uint8_t shift;
  const int32_t* parts;     /* a, b, c of 128 parts of m: a - d * (b - d * c) */
  const int32_t* exponents; /* by the highest bit */
  const uint8_t *row_kinds, *column_kinds;
  int32_t kinds_of_columns;
  ending ending;
} lrn;

static int64_t power_of(const lrn* l, int64_t x) {
  const int32_t* part;
  int64_t fraction, d;
  int32_t highest = 0;
  for (int32_t bits = 32; bits > 0; bits /= 2) {
    if (x >> (highest + bits) > 0) {
      highest += bits;
    }
  }
  fraction = highest > 31 ? x >> (highest - 31) : x << (31 - highest);
  fraction &= INT64_C(0x7fffffff);
  part = l->parts + 3 * (fraction >> 24);
  d = fraction & 0xffffff;
  return (part[0] - (d * (part[1] - (d * part[2] >> 24)) >> 24)) *
             l->exponents[highest] >>
         30;
}
