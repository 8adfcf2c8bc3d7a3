// JPEG by libjpeg-turbo, PNG by libpng.

#include <glog/logging.h>

#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <opencv2/core/core.hpp>
#include <string>
#include <vector>

#include "support/caffe_error.hpp"

// After stdio.h, which it needs.
#include <jerror.h>
#include <jpeglib.h>
#include <png.h>

namespace cv {
namespace {

/// The luminance of ITU-R BT.601, in 14 bits as in OpenCV.
uchar Gray(const uchar* bgr) {
  return static_cast<uchar>(
      (1868 * bgr[0] + 9617 * bgr[1] + 4899 * bgr[2] + (1 << 13)) >> 14);
}

/// An image of 3 or 4 channels in those that `flags` asks for.
Mat Converted(const Mat& image, int flags) {
  const bool is_gray = flags == CV_LOAD_IMAGE_GRAYSCALE;
  if (image.channels() == 1 || flags < 0 ||
      (!is_gray && image.channels() == 3)) {
    return image;
  }
  Mat converted(image.rows, image.cols, is_gray ? 1 : 3);
  for (int y = 0; y < image.rows; ++y) {
    const uchar* from = image.ptr<uchar>(y);
    uchar* to = converted.ptr<uchar>(y);
    for (int x = 0; x < image.cols; ++x, from += image.channels()) {
      if (is_gray) {
        *to++ = Gray(from);
      } else {
        to = std::copy_n(from, 3, to);
      }
    }
  }
  return converted;
}

// The libraries leave by longjmp: no object with a destructor may be made
// between setjmp and the call that fails.

struct JpegErrors {
  jpeg_error_mgr manager;  // first: libjpeg knows the struct by its address
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  std::vector<uchar> inks;  // a row; here, for a jump would lose a local

  static void Leave(j_common_ptr jpeg) {
    auto* errors = reinterpret_cast<JpegErrors*>(jpeg->err);
    jpeg->err->format_message(jpeg, errors->message);
    std::longjmp(errors->jump, 1);
  }
  /// Of warnings, only that the file ends too early leaves an image that is
  /// none.
  static void Warn(j_common_ptr jpeg, int level) {
    if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF) {
      Leave(jpeg);
    }
  }
  void Set() {
    jpeg_std_error(&manager);
    manager.error_exit = &Leave;
    manager.emit_message = &Warn;
  }
};

/// Inks, stored inverted as Adobe's programs do, as colours.
void InksToBgr(const uchar* cmyk, int pixels, uchar* bgr) {
  for (int i = 0; i < pixels; ++i, cmyk += 4, bgr += 3) {
    for (int c = 0; c < 3; ++c) {
      bgr[c] =
          static_cast<uchar>(cmyk[3] - ((255 - cmyk[2 - c]) * cmyk[3] >> 8));
    }
  }
}

/// What is wrong, or "".
std::string DecodeJpeg(const std::vector<char>& content, int flags,
                       Mat* image) {
  jpeg_decompress_struct jpeg;
  JpegErrors errors;
  errors.Set();
  jpeg.err = &errors.manager;
  jpeg_create_decompress(&jpeg);
  if (setjmp(errors.jump) != 0) {
    jpeg_destroy_decompress(&jpeg);
    return errors.message;
  }
  jpeg_mem_src(&jpeg, reinterpret_cast<const uchar*>(content.data()),
               content.size());
  jpeg_read_header(&jpeg, TRUE);
  const bool has_inks = jpeg.num_components == 4;
  const bool is_gray = flags == CV_LOAD_IMAGE_GRAYSCALE ||
                       (flags < 0 && jpeg.num_components == 1);
  if (has_inks) {
    jpeg.out_color_space = JCS_CMYK;
  } else {
    jpeg.out_color_space = is_gray ? JCS_GRAYSCALE : JCS_EXT_BGR;
  }
  jpeg_start_decompress(&jpeg);
  const int width = static_cast<int>(jpeg.output_width);
  *image = Mat(static_cast<int>(jpeg.output_height), width,
               is_gray && !has_inks ? 1 : 3);
  errors.inks.resize(has_inks ? std::size_t{4} * width : 0);
  while (jpeg.output_scanline < jpeg.output_height) {
    uchar* pixels = image->ptr<uchar>(static_cast<int>(jpeg.output_scanline));
    uchar* row = has_inks ? errors.inks.data() : pixels;
    jpeg_read_scanlines(&jpeg, &row, 1);
    if (has_inks) {
      InksToBgr(errors.inks.data(), width, pixels);
    }
  }
  jpeg_finish_decompress(&jpeg);
  jpeg_destroy_decompress(&jpeg);
  return "";
}

struct PngSource {
  const char* next;
  std::size_t left;
  char message[256];
  std::vector<png_bytep> rows;

  static void Read(png_structp png, png_bytep bytes, png_size_t count) {
    auto* source = static_cast<PngSource*>(png_get_io_ptr(png));
    if (count > source->left) {
      png_error(png, "the file ends too early");
    }
    std::memcpy(bytes, source->next, count);
    source->next += count;
    source->left -= count;
  }
  static void Leave(png_structp png, png_const_charp message) {
    auto* source = static_cast<PngSource*>(png_get_error_ptr(png));
    std::snprintf(source->message, sizeof(source->message), "%s", message);
    png_longjmp(png, 1);
  }
  static void Ignore(png_structp, png_const_charp) {}
};

/// What is wrong, or "".
std::string DecodePng(const std::vector<char>& content, int flags, Mat* image) {
  PngSource source{content.data(), content.size(), "", {}};
  png_structp png = png_create_read_struct(
      PNG_LIBPNG_VER_STRING, &source, &PngSource::Leave, &PngSource::Ignore);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr) {
    png_destroy_read_struct(&png, nullptr, nullptr);
    return "libpng has no memory";
  }
  if (setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_read_struct(&png, &info, nullptr);
    return source.message;
  }
  png_set_read_fn(png, &source, &PngSource::Read);
  png_read_info(png, info);
  // 8 bits a channel; blue, green, red; alpha where flags may want it.
  const png_byte type = png_get_color_type(png, info);
  png_set_expand(png);
  png_set_strip_16(png);
  if (type != PNG_COLOR_TYPE_GRAY || png_get_valid(png, info, PNG_INFO_tRNS)) {
    png_set_gray_to_rgb(png);
    png_set_bgr(png);
  }
  if (flags >= 0) {
    png_set_strip_alpha(png);
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  *image = Mat(static_cast<int>(png_get_image_height(png, info)),
               static_cast<int>(png_get_image_width(png, info)),
               png_get_channels(png, info));
  source.rows.resize(image->rows);
  for (int y = 0; y < image->rows; ++y) {
    source.rows[y] = image->ptr<uchar>(y);
  }
  png_read_image(png, source.rows.data());
  png_read_end(png, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
  return "";
}

bool BeginsWith(const std::vector<char>& content, const char* bytes,
                std::size_t count) {
  return content.size() >= count &&
         std::memcmp(content.data(), bytes, count) == 0;
}

/// One channel where a gray file is read in colour becomes three.
Mat InColour(const Mat& image) {
  Mat colour(image.rows, image.cols, 3);
  for (int y = 0; y < image.rows; ++y) {
    uchar* to = colour.ptr<uchar>(y);
    for (int x = 0; x < image.cols; ++x) {
      to = std::fill_n(to, 3, image.ptr<uchar>(y)[x]);
    }
  }
  return colour;
}

std::vector<uchar> EncodeJpeg(const Mat& image) {
  jpeg_compress_struct jpeg;
  JpegErrors errors;
  errors.Set();
  jpeg.err = &errors.manager;
  unsigned char* memory = nullptr;
  unsigned long size = 0;  // NOLINT(runtime/int): libjpeg's type
  jpeg_create_compress(&jpeg);
  if (setjmp(errors.jump) != 0) {
    jpeg_destroy_compress(&jpeg);
    std::free(memory);
    LOG(FATAL) << "the image cannot be stored as JPEG: " << errors.message;
  }
  jpeg_mem_dest(&jpeg, &memory, &size);
  jpeg.image_width = image.cols;
  jpeg.image_height = image.rows;
  jpeg.input_components = image.channels();
  jpeg.in_color_space = image.channels() == 1 ? JCS_GRAYSCALE : JCS_EXT_BGR;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 95, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<uchar*>(
        image.ptr<uchar>(static_cast<int>(jpeg.next_scanline)));
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::vector<uchar> content(memory, memory + size);
  std::free(memory);
  return content;
}

std::vector<uchar> EncodePng(const Mat& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = image.cols;
  png.height = image.rows;
  png.format = image.channels() == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_BGR;
  const auto stride =
      static_cast<png_int_32>(image.ptr<uchar>(1) - image.ptr<uchar>(0));
  png_alloc_size_t size = 0;
  std::vector<uchar> content;
  CHECK(png_image_write_to_memory(&png, nullptr, &size, 0, image.data, stride,
                                  nullptr))
      << "the image cannot be stored as PNG: " << png.message;
  content.resize(size);
  CHECK(png_image_write_to_memory(&png, content.data(), &size, 0, image.data,
                                  stride, nullptr))
      << "the image cannot be stored as PNG: " << png.message;
  content.resize(size);
  return content;
}

}  // namespace

Mat imdecode(const std::vector<char>& content, int flags) {
  Mat image;
  std::string error;
  if (BeginsWith(content, "\xff\xd8\xff", 3)) {
    error = DecodeJpeg(content, flags, &image);
  } else if (BeginsWith(content, "\x89PNG\r\n\x1a\n", 8)) {
    error = DecodePng(content, flags, &image);
  } else {
    LOG(FATAL) << "neither a JPEG nor a PNG image; others must be converted";
  }
  if (!error.empty()) {
    LOG(FATAL) << "the image is damaged: " << error;
  }
  return image.channels() == 1 && flags == CV_LOAD_IMAGE_COLOR
             ? InColour(image)
             : Converted(image, flags);
}

Mat imread(const std::string& filename, int flags) {
  std::ifstream file(filename, std::ios::binary);
  if (!file) {
    throw ul2q::FileNotFound(filename, __FILE__, __LINE__);
  }
  const std::vector<char> content{std::istreambuf_iterator<char>(file), {}};
  try {
    return imdecode(content, flags);
  } catch (const ul2q::CaffeError& error) {
    throw error.In(filename);
  }
}

bool imencode(const std::string& extension, const Mat& image,
              std::vector<uchar>& content) {
  CHECK(image.channels() == 1 || image.channels() == 3)
      << "an image of " << image.channels() << " channels cannot be stored";
  std::string kind = extension;
  std::transform(kind.begin(), kind.end(), kind.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  CHECK(kind == ".jpg" || kind == ".jpeg" || kind == ".png")
      << "images are stored as jpg, jpeg or png, not as " << extension;
  content = kind == ".png" ? EncodePng(image) : EncodeJpeg(image);
  return true;
}

}  // namespace cv
