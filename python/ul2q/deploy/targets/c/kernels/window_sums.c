/* The sum of each window's integers, places x groups: for weights whose levels
   lie about another number than 0. */
static void window_sums_IN(const convolution* c, const IN_TYPE* x,
                           int32_t* sums) {
  const int32_t inputs = c->channels / c->groups;
  for (int32_t row = 0; row < c->out_height; ++row) {
    for (int32_t column = 0; column < c->out_width; ++column) {
      for (int32_t group = 0; group < c->groups; ++group) {
        *sums++ = window_IN(c, x + group * inputs, 0, row, column);
      }
    }
  }
}
