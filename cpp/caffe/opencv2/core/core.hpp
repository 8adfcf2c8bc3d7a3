// Stands in the place of OpenCV's headers while BVLC's source compiles: what
// that calls of OpenCV, over libjpeg-turbo and libpng. Names, arguments and
// values are OpenCV's; the functions are defined in support/image_*.cpp.
#ifndef UL2Q_OPENCV2_CORE_CORE_HPP_
#define UL2Q_OPENCV2_CORE_CORE_HPP_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

using uchar = unsigned char;

constexpr int CV_8U = 0;  ///< the depth of all images here

/// How an image is read: with 1 or 3 channels.
enum { CV_LOAD_IMAGE_GRAYSCALE = 0, CV_LOAD_IMAGE_COLOR = 1 };

namespace cv {

enum { INTER_LINEAR = 1 };

struct Size {
  Size(int w, int h) : width(w), height(h) {}
  int width, height;
};

struct Rect {
  Rect(int left, int top, int w, int h)
      : x(left), y(top), width(w), height(h) {}
  int x, y, width, height;
};

/// An image of bytes: rows × cols × channels, the channels in the order blue,
/// green, red (alpha). Copies and parts share its pixels.
class Mat {
 public:
  Mat() = default;
  Mat(int height, int width, int channels)
      : rows(height),
        cols(width),
        memory_(std::make_shared<std::vector<uchar>>(
            static_cast<std::size_t>(height) * width * channels)),
        step_(static_cast<std::size_t>(width) * channels),
        channels_(channels) {
    data = memory_->data();
  }

  int channels() const { return channels_; }
  int depth() const { return CV_8U; }

  template <typename T>
  T* ptr(int row) {
    return data + row * step_;
  }
  template <typename T>
  const T* ptr(int row) const {
    return data + row * step_;
  }

  /// A part of it; ul2q::CaffeError where it reaches beyond the image.
  Mat operator()(const Rect& part) const;

  int rows = 0, cols = 0;
  uchar* data = nullptr;  ///< null: no image

 private:
  std::shared_ptr<std::vector<uchar>> memory_;
  std::size_t step_ = 0;  ///< from a row to the next
  int channels_ = 1;
};

/// The image in a JPEG or PNG file. `flags`: CV_LOAD_IMAGE_COLOR, …_GRAYSCALE,
/// or a negative number for the file's own channels. Of 16 bits the upper 8 are
/// taken. Throws ul2q::FileNotFound, or CaffeError with the file and what is
/// wrong with it.
Mat imread(const std::string& filename, int flags);

/// The same of a file's content.
Mat imdecode(const std::vector<char>& content, int flags);

/// `image`, of 1 or 3 channels, as the content of a file of the kind that
/// `extension` names: ".jpg", ".jpeg" (of quality 95) or ".png".
bool imencode(const std::string& extension, const Mat& image,
              std::vector<uchar>& content);

/// Bilinear interpolation with OpenCV's fixed-point weights; `result` may be
/// `image`. Factors and interpolation are OpenCV's arguments, of which only 0
/// and INTER_LINEAR exist here.
void resize(const Mat& image, Mat& result, Size size, double fx = 0,
            double fy = 0, int interpolation = INTER_LINEAR);

/// Mirrors an image left to right; `code` is 1.
void flip(const Mat& image, Mat& result, int code);

}  // namespace cv

#endif  // UL2Q_OPENCV2_CORE_CORE_HPP_
