static void max_pooling_IN(const pooling* p, const IN_TYPE* x, IN_TYPE* y) {
  int32_t top, bottom, left, right;
  for (int32_t row = 0; row < p->out_height; ++row) {
    clip_window(row, p->stride_height, p->pad_height, p->kernel_height,
                p->height, &top, &bottom);
    for (int32_t column = 0; column < p->out_width; ++column) {
      clip_window(column, p->stride_width, p->pad_width, p->kernel_width,
                  p->width, &left, &right);
      for (int32_t channel = 0; channel < p->channels; ++channel) {
        IN_TYPE found = x[(top * p->width + left) * p->channels + channel];
        for (int32_t i = top; i < bottom; ++i) {
          for (int32_t j = left; j < right; ++j) {
            const IN_TYPE other = x[(i * p->width + j) * p->channels + channel];
            found = other > found ? other : found;
          }
        }
        *y++ = found;
      }
    }
  }
}
