/* How sums become the integers of the next tensor:
     t = sum of factor * term, plus offset
     code = t / 2^shift to the nearest, half away from zero, within the limits
     integer = gain * code + base
   There is a column for each output, or one for all. */
typedef struct ending {
  const int32_t* factors; /* terms x columns */
  const int64_t* offsets; /* kinds of places x columns */
  const uint8_t* shifts;  /* columns */
  int32_t columns;
  int32_t lowest, highest; /* codes */
  int32_t gain, base;
  const struct ending* slopes; /* for values below zero, or null */
  const uint8_t* takes_larger; /* columns: which of both results */
} ending;

static int32_t rounded(const ending* e, int32_t kind, int32_t column,
                       const int32_t* terms, int32_t count) {
  const uint8_t shift = e->shifts[column];
  const uint64_t half = (uint64_t)1 << (shift - 1);
  int64_t t = e->offsets[kind * e->columns + column];
  int64_t code;
  for (int32_t i = 0; i < count; ++i) {
    t += (int64_t)e->factors[i * e->columns + column] * terms[i];
  }
  code = t < 0 ? -(int64_t)(((uint64_t)-t + half) >> shift)
               : (int64_t)(((uint64_t)t + half) >> shift);
  code = code < e->lowest ? e->lowest : code;
  code = code > e->highest ? e->highest : code;
  return e->gain * (int32_t)code + e->base;
}

static int32_t finish(const ending* e, int32_t kind, int32_t column,
                      const int32_t* terms, int32_t count) {
  const int32_t found = rounded(e, kind, column, terms, count);
  if (e->slopes != 0) {
    const int32_t other = rounded(e->slopes, kind, column, terms, count);
    return (found > other) == (e->takes_larger[column] != 0) ? found : other;
  }
  return found;
}
