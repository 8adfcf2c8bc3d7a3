/* Pixels times a factor, minus their mean: one for each of `period` bytes. */
static void centre_IN_to_OUT(const IN_TYPE* x, OUT_TYPE* y, int32_t count,
                             int32_t factor, const int16_t* mean,
                             int32_t period) {
  for (int32_t i = 0; i < count; ++i) {
    y[i] = (OUT_TYPE)(factor * x[i] - mean[i % period]);
  }
}
