static void inner_product_IN_to_OUT(const inner_product* p, const IN_TYPE* x,
                                    OUT_TYPE* y) {
  int32_t terms[2] = {0, 0};
  for (int32_t i = 0; p->has_input_sum && i < p->inputs; ++i) {
    terms[1] += x[i];
  }
  for (int32_t n = 0; n < p->outputs; ++n) {
    const uint32_t first = (uint32_t)n * (uint32_t)p->inputs;
    terms[0] = 0;
    for (int32_t i = 0; i < p->inputs; ++i) {
      terms[0] += x[i] * weight_at(&p->weights, first + (uint32_t)i);
    }
    y[n] = (OUT_TYPE)finish(&p->ending, 0, n, terms, p->has_input_sum ? 2 : 1);
  }
}
