#include "ul2q/float_engine/inner_product.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "caffe/util/math_functions.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/matrix_product.hpp"

namespace caffe {
namespace {

using ul2q::Stored;

/// Of more images a matrix product is faster.
constexpr int kMostImages = 8;

/// The same of any number of images where the weights' rows or columns are so
/// short: of several images, and of one.
constexpr int64_t kShort = 64;
constexpr int64_t kVeryShort = 4;

/// What a product with the weights sums over.
enum class Sums { kRows, kColumns, kImages };

/// Weights up to which a BLAS with wide kernels is faster than to read each but
/// once: larger ones come from further away than the L2 cache.
int64_t MostWeightsForBlas(Sums over, int images) {
  switch (over) {
    case Sums::kColumns:
      return 3 << 17;
    case Sums::kRows:
      return 1 << 20;
    case Sums::kImages:
      break;
  }
  return images > 1 ? std::numeric_limits<int64_t>::max() : 1 << 17;
}

/// Whether rather to multiply matrices than to go through the weights but once.
bool IsForProduct(Sums over, const ul2q::MatrixShape& weights, int images) {
  const int64_t shorter = std::min(weights.rows, weights.columns);
  return images > kMostImages || shorter < (images > 1 ? kShort : kVeryShort) ||
         (ul2q::BlasHasWideKernels() &&
          weights.count() <= MostWeightsForBlas(over, images));
}

}  // namespace

template <typename Dtype>
ul2q::MatrixShape FastInnerProductLayer<Dtype>::WeightsShape() const {
  if (this->transpose_) {
    return {this->K_, this->N_};
  }
  return {this->N_, this->K_};
}

template <typename Dtype>
void FastInnerProductLayer<Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* weights = this->blobs_[0]->cpu_data();
  const Dtype* bias = this->bias_term_ ? this->blobs_[1]->cpu_data() : nullptr;
  Dtype* y = top[0]->mutable_cpu_data();
  const ul2q::MatrixShape shape = WeightsShape();
  if (IsForProduct(this->transpose_ ? Sums::kRows : Sums::kColumns, shape,
                   this->M_)) {
    for (int image = 0; bias != nullptr && image < this->M_; ++image) {
      std::copy_n(bias, this->N_, y + int64_t{image} * this->N_);
    }
    ul2q::MultiplyMatrices(
        Stored::kPlain, this->transpose_ ? Stored::kPlain : Stored::kTransposed,
        this->M_, this->N_, this->K_, x, weights,
        Dtype(bias != nullptr ? 1 : 0), y);
  } else if (this->transpose_) {
    ul2q::MultiplyColumns(shape, weights, x, this->M_, bias, y);
  } else {
    ul2q::MultiplyRows(shape, weights, x, this->M_, bias, y);
  }
}

template <typename Dtype>
void FastInnerProductLayer<Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  const ul2q::MatrixShape shape = WeightsShape();
  const Dtype* dy = top[0]->cpu_diff();
  if (this->param_propagate_down_[0]) {
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* weights_diff = this->blobs_[0]->mutable_cpu_diff();
    const Dtype* rows = this->transpose_ ? x : dy;
    const Dtype* columns = this->transpose_ ? dy : x;
    if (IsForProduct(Sums::kImages, shape, this->M_)) {
      ul2q::MultiplyMatrices(Stored::kTransposed, Stored::kPlain, shape.rows,
                             shape.columns, this->M_, rows, columns, Dtype(1),
                             weights_diff);
    } else {
      ul2q::AddOuterProducts(shape, rows, columns, this->M_, weights_diff);
    }
  }
  if (this->bias_term_ && this->param_propagate_down_[1]) {
    Dtype* bias_diff = this->blobs_[1]->mutable_cpu_diff();
    for (int image = 0; image < this->M_; ++image) {
      caffe_axpy(this->N_, Dtype(1), dy + int64_t{image} * this->N_, bias_diff);
    }
  }
  if (propagate_down[0]) {
    const Dtype* weights = this->blobs_[0]->cpu_data();
    const Dtype* none = nullptr;
    Dtype* dx = bottom[0]->mutable_cpu_diff();
    if (IsForProduct(this->transpose_ ? Sums::kColumns : Sums::kRows, shape,
                     this->M_)) {
      ul2q::MultiplyMatrices(
          Stored::kPlain,
          this->transpose_ ? Stored::kTransposed : Stored::kPlain, this->M_,
          this->K_, this->N_, dy, weights, Dtype(0), dx);
    } else if (this->transpose_) {
      ul2q::MultiplyRows(shape, weights, dy, this->M_, none, dx);
    } else {
      ul2q::MultiplyColumns(shape, weights, dy, this->M_, none, dx);
    }
  }
}

template class FastInnerProductLayer<float>;
template class FastInnerProductLayer<double>;

namespace {
const FastLayer<FastInnerProductLayer> registration("InnerProduct");
}  // namespace

}  // namespace caffe
