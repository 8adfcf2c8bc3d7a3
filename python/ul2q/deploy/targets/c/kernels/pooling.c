/* Windows of each channel. */
typedef struct {
  int32_t channels, height, width;
  int32_t out_height, out_width;
  int32_t kernel_height, kernel_width;
  int32_t stride_height, stride_width;
  int32_t pad_height, pad_width;
} pooling;

/* The part of a window that lies in the image, along one axis. */
static void clip_window(int32_t place, int32_t stride, int32_t pad,
                        int32_t kernel, int32_t extent, int32_t* begin,
                        int32_t* end) {
  *begin = place * stride - pad;
  *end = *begin + kernel < extent ? *begin + kernel : extent;
  *begin = *begin < 0 ? 0 : *begin;
}
