static int64_t square_IN(const lrn* l, const IN_TYPE* x, int32_t at) {
  const int64_t v = (int64_t)l->scale * x[at];
  return v * v;
}

/* The sum of the squares around a place. */
static int64_t squares_IN(const lrn* l, const IN_TYPE* x, int32_t row,
                          int32_t column, int32_t channel) {
  const int32_t half = (l->size - 1) / 2;
  const int32_t place = (row * l->width + column) * l->channels;
  int64_t sum = 0;
  for (int32_t i = -half; i < l->size - half; ++i) {
    if (l->across) {
      if (channel + i >= 0 && channel + i < l->channels) {
        sum += square_IN(l, x, place + channel + i);
      }
    } else if (row + i >= 0 && row + i < l->height) {
      for (int32_t j = -half; j < l->size - half; ++j) {
        if (column + j >= 0 && column + j < l->width) {
          sum += square_IN(l, x,
                           place + (i * l->width + j) * l->channels + channel);
        }
      }
    }
  }
  return sum;
}
