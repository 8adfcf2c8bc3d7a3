/* Images lie row by row, each pixel with its channels one behind the other,
   and so do the filters of a convolution. */
typedef struct {
  packed_weights weights;
  int32_t channels, height, width;
  int32_t outputs, out_height, out_width;
  int32_t kernel_height, kernel_width;
  int32_t stride_height, stride_width;
  int32_t pad_height, pad_width;
  int32_t dilation_height, dilation_width;
  int32_t groups;
  /* Kinds of places, by what of their window lies in the image; or null. */
  const uint8_t *row_kinds, *column_kinds;
  int32_t kinds_of_columns;
  ending ending;
} convolution;
