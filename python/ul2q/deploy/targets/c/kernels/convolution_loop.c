/* Each filter is decoded once, to `filter`. `sums`: of the windows' integers,
   or null. */
static void convolution_IN_to_OUT(const convolution* c, const IN_TYPE* x,
                                  OUT_TYPE* y, int8_t* filter,
                                  const int32_t* sums) {
  const int32_t inputs = c->channels / c->groups;
  const int32_t taps = c->kernel_height * c->kernel_width * inputs;
  for (int32_t n = 0; n < c->outputs; ++n) {
    const int32_t group = n / (c->outputs / c->groups);
    for (int32_t i = 0; i < taps; ++i) {
      filter[i] = (int8_t)weight_at(&c->weights, (uint32_t)(n * taps + i));
    }
    for (int32_t row = 0; row < c->out_height; ++row) {
      for (int32_t column = 0; column < c->out_width; ++column) {
        const int32_t place = row * c->out_width + column;
        const int32_t kind = c->row_kinds == 0
                                 ? 0
                                 : c->row_kinds[row] * c->kinds_of_columns +
                                       c->column_kinds[column];
        int32_t terms[2] = {0, 0};
        terms[0] = window_IN(c, x + group * inputs, filter, row, column);
        if (sums != 0) {
          terms[1] = sums[place * c->groups + group];
        }
        y[place * c->outputs + n] =
            (OUT_TYPE)finish(&c->ending, kind, n, terms, sums != 0 ? 2 : 1);
      }
    }
  }
}
