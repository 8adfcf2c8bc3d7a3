/* Inputs of one shape, each times a factor; or an activation of one input. */
static void sum_SIGNATURE(const ending* e, const int32_t* scales, PARAMETERS,
                          OUT_TYPE* y, int32_t places, int32_t channels) {
  for (int32_t i = 0; i < places; ++i) {
    for (int32_t channel = 0; channel < channels; ++channel) {
      const int32_t at = i * channels + channel;
      const int32_t terms[] = {TERMS};
      y[at] =
          (OUT_TYPE)finish(e, 0, e->columns == 1 ? 0 : channel, terms, COUNT);
    }
  }
}
