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

static void lrn_IN_to_OUT(const lrn* l, const IN_TYPE* x, OUT_TYPE* y) {
  for (int32_t row = 0; row < l->height; ++row) {
    for (int32_t column = 0; column < l->width; ++column) {
      const int32_t kind =
          l->row_kinds[row] * l->kinds_of_columns + l->column_kinds[column];
      const int64_t growth = l->growth[kind];
      for (int32_t channel = 0; channel < l->channels; ++channel) {
        const int64_t sum = squares_IN(l, x, row, column, channel);
        const int64_t grown = ((sum >> 31) * growth +
                               ((sum & INT64_C(0x7fffffff)) * growth >> 31)) >>
                              l->shift;
        const int32_t at = (row * l->width + column) * l->channels + channel;
        const int64_t product =
            (int64_t)l->scale * x[at] * power_of(l, l->start + grown);
        const int64_t half = INT64_C(1) << 29;
        const int32_t term = product < 0 ? -(int32_t)((half - product) >> 30)
                                         : (int32_t)((half + product) >> 30);
        y[at] = (OUT_TYPE)finish(
            &l->ending, 0, l->ending.columns == 1 ? 0 : channel, &term, 1);
      }
    }
  }
}
