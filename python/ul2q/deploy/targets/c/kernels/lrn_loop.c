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
