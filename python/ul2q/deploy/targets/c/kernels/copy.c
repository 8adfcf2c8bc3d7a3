/* Blocks of `size` integers to places that lie `distance` apart. */
static void copy_IN_to_OUT(const IN_TYPE* x, OUT_TYPE* y, int32_t blocks,
                           int32_t size, int32_t distance) {
  for (int32_t i = 0; i < blocks; ++i) {
    for (int32_t j = 0; j < size; ++j) {
      y[i * distance + j] = (OUT_TYPE)x[i * size + j];
    }
  }
}
