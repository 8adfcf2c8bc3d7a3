/* The larger of two integers, element by element. */
static void maximum_IN_OTHER_to_OUT(const IN_TYPE* a, const OTHER_TYPE* b,
                                    OUT_TYPE* y, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    y[i] = a[i] > b[i] ? (OUT_TYPE)a[i] : (OUT_TYPE)b[i];
  }
}
