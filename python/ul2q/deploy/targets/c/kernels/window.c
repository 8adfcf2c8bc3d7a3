/* The sum of a window's products with a filter, or of its integers where
   `filter` is null. */
static int32_t window_IN(const convolution* c, const IN_TYPE* x,
                         const int8_t* filter, int32_t row, int32_t column) {
  const int32_t inputs = c->channels / c->groups;
  const int32_t top = row * c->stride_height - c->pad_height;
  const int32_t left = column * c->stride_width - c->pad_width;
  int32_t sum = 0;
  for (int32_t i = 0; i < c->kernel_height; ++i) {
    const int32_t at_row = top + i * c->dilation_height;
    int32_t j = 0;
    if (at_row < 0 || at_row >= c->height) {
      continue;
    }
    while (j < c->kernel_width) {
      const int32_t at_column = left + j * c->dilation_width;
      int32_t together =
          1; /* pixels that lie side by side, as do their weights */
      if (at_column < 0 || at_column >= c->width) {
        ++j;
        continue;
      }
      if (c->groups == 1 && c->dilation_width == 1) {
        together = c->kernel_width - j < c->width - at_column
                       ? c->kernel_width - j
                       : c->width - at_column;
      }
      {
        const IN_TYPE* pixels =
            x + (at_row * c->width + at_column) * c->channels;
        const int32_t first = (i * c->kernel_width + j) * inputs;
        for (int32_t k = 0; k < together * inputs; ++k) {
          sum +=
              filter == 0 ? pixels[k] : (int32_t)pixels[k] * filter[first + k];
        }
      }
      j += together;
    }
  }
  return sum;
}
