#include "support/check_words.hpp"

#include <string_view>

namespace ul2q {
namespace {

constexpr struct {
  std::string_view check;  // as BVLC's source has it
  std::string_view words;
} kWords[] = {
    // Solvers.
    {"this->param_.stepsize() > 0", "lr_policy needs a stepsize, at least 1"},
    {"this->param_.gamma() >= 0", "gamma must not be negative"},
    {"param_.test_interval() > 0",
     "test_iter is given, so test_interval must be at least 1"},
    // Convolution and pooling.
    {"num_output_ > 0", "convolution_param.num_output must be positive"},
    {"pad_h_ < kernel_h_", "pooling_param.pad must be below kernel_size"},
    {"pad_w_ < kernel_w_", "pooling_param.pad must be below kernel_size"},
    // Fillers.
    {"sigma > 0", "a gaussian filler's std must be positive"},
    {"a <= b", "a uniform filler's min must not be above its max"},
    {"sparse >= -1", "a filler's sparse must be -1 (off) or more"},
    // What a data layer does with its images.
    {"datum_height >= crop_size",
     "transform_param.crop_size is larger than the image's height"},
    {"datum_width >= crop_size",
     "transform_param.crop_size is larger than the image's width"},
    {"img_height >= crop_size",
     "transform_param.crop_size is larger than the image's height"},
    {"img_width >= crop_size",
     "transform_param.crop_size is larger than the image's width"},
    {"img_channels == data_mean_.channels()",
     "transform_param.mean_file has another number of channels than the image"},
    {"img_height == data_mean_.height()",
     "transform_param.mean_file has another height than the image"},
    {"img_width == data_mean_.width()",
     "transform_param.mean_file has another width than the image"},
    {"channels == datum_channels",
     "the images differ in their number of channels"},
    {"datum_height == height",
     "the images differ in height: import them with one size, or crop them by "
     "transform_param.crop_size"},
    {"datum_width == width",
     "the images differ in width: import them with one size, or crop them by "
     "transform_param.crop_size"},
    {"height <= datum_height",
     "the images differ in height: import them with one size, or crop them by "
     "transform_param.crop_size"},
    {"width <= datum_width",
     "the images differ in width: import them with one size, or crop them by "
     "transform_param.crop_size"},
    // The same of images that are decoded.
    {"channels == img_channels",
     "the images differ in their number of channels: give is_color, or "
     "transform_param.force_color or force_gray"},
    {"height <= img_height",
     "the images differ in height: give new_height and new_width, or "
     "transform_param.crop_size"},
    {"width <= img_width",
     "the images differ in width: give new_height and new_width, or "
     "transform_param.crop_size"},
    {"img_height == height",
     "the images differ in height: give new_height and new_width, or "
     "transform_param.crop_size"},
    {"img_width == width",
     "the images differ in width: give new_height and new_width, or "
     "transform_param.crop_size"},
    {"fg_windows_.size() > 0",
     "no window overlaps an object by fg_threshold or more"},
    {"bg_windows_.size() > 0",
     "no window overlaps objects by less than bg_threshold"},
    // Losses and other layers.
    {"infogain->count() == num_labels_*num_labels_",
     "the infogain matrix must have a row and a column for each label"},
    {"bottom[0]->shape(1) == channels_",
     "the input's channels are not those that the layer was made for"},
    {"slice_point_.size() == top.size() - 1",
     "slice_param.slice_point must be given once less than there are tops"},
    {"slice_point_[i] > prev",
     "slice_param.slice_point must grow from one to the next"},
    {"bottom[2]->num_axes() >= 1",
     "the third bottom, a static input, must have at least one axis"},
};

}  // namespace

std::string CheckWords(const std::string& check) {
  for (const auto& entry : kWords) {
    const std::size_t length = entry.check.size();
    if (check.compare(0, length, entry.check) == 0 &&
        (check.size() == length || check.compare(length, 2, " (") == 0)) {
      return std::string(entry.words);
    }
  }
  return "";
}

}  // namespace ul2q
