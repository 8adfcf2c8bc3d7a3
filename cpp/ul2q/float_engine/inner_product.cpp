#include "ul2q/float_engine/inner_product.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/util/math_functions.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/few_vectors.hpp"
#include "ul2q/float_engine/matrix_product.hpp"

namespace caffe {
namespace {

using ul2q::Stored;

/// Of more images a matrix product is faster.
constexpr int kMostImages = 8;

/// Of several images, too, where the weights' rows or columns are so short.
constexpr int kShort = 64;

bool IsForProduct(int images, int inputs, int outputs) {
  return images > kMostImages ||
         (images > 1 && std::min(inputs, outputs) < kShort) ||
         ul2q::IsForBlas(images, outputs, inputs);
}

}  // namespace

template <typename Dtype>
void FastInnerProductLayer<Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* weights = this->blobs_[0]->cpu_data();
  const Dtype* bias = this->bias_term_ ? this->blobs_[1]->cpu_data() : nullptr;
  Dtype* y = top[0]->mutable_cpu_data();
  if (IsForProduct(this->M_, this->K_, this->N_)) {
    for (int image = 0; bias != nullptr && image < this->M_; ++image) {
      std::copy_n(bias, this->N_, y + int64_t{image} * this->N_);
    }
    ul2q::MultiplyMatrices(
        Stored::kPlain, this->transpose_ ? Stored::kPlain : Stored::kTransposed,
        this->M_, this->N_, this->K_, x, weights,
        Dtype(bias != nullptr ? 1 : 0), y);
  } else if (this->transpose_) {
    ul2q::MultiplyColumns({this->K_, this->N_}, weights, x, this->M_, bias, y);
  } else {
    ul2q::MultiplyRows({this->N_, this->K_}, weights, x, this->M_, bias, y);
  }
}

template <typename Dtype>
void FastInnerProductLayer<Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  const bool is_product = IsForProduct(this->M_, this->K_, this->N_);
  const ul2q::MatrixShape shape = this->transpose_
                                      ? ul2q::MatrixShape{this->K_, this->N_}
                                      : ul2q::MatrixShape{this->N_, this->K_};
  const Dtype* dy = top[0]->cpu_diff();
  if (this->param_propagate_down_[0]) {
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* weights_diff = this->blobs_[0]->mutable_cpu_diff();
    const Dtype* rows = this->transpose_ ? x : dy;
    const Dtype* columns = this->transpose_ ? dy : x;
    if (is_product) {
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
    if (is_product) {
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
