/* The ending has a column for each kind of place: windows at the border are
   divided by other numbers. */
static void average_pooling_IN_to_OUT(const pooling* p, const ending* e,
                                      const uint8_t* row_kinds,
                                      const uint8_t* column_kinds,
                                      int32_t kinds_of_columns,
                                      const IN_TYPE* x, OUT_TYPE* y) {
  int32_t top, bottom, left, right;
  for (int32_t row = 0; row < p->out_height; ++row) {
    clip_window(row, p->stride_height, p->pad_height, p->kernel_height,
                p->height, &top, &bottom);
    for (int32_t column = 0; column < p->out_width; ++column) {
      const int32_t kind =
          row_kinds[row] * kinds_of_columns + column_kinds[column];
      clip_window(column, p->stride_width, p->pad_width, p->kernel_width,
                  p->width, &left, &right);
      for (int32_t channel = 0; channel < p->channels; ++channel) {
        int32_t sum = 0;
        for (int32_t i = top; i < bottom; ++i) {
          for (int32_t j = left; j < right; ++j) {
            sum += x[(i * p->width + j) * p->channels + channel];
          }
        }
        *y++ = (OUT_TYPE)finish(e, 0, kind, &sum, 1);
      }
    }
  }
}
