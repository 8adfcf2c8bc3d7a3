#ifndef UL2Q_SUPPORT_LAYER_NAMES_HPP_
#define UL2Q_SUPPORT_LAYER_NAMES_HPP_

#include <cstddef>
#include <string>

namespace caffe {
template <typename Dtype>
class Net;
class NetParameter;
}  // namespace caffe

namespace ul2q {

/// Throws CaffeError if two layers of one name have different parameters: files
/// know layers by their names, and one would get the other's. Layers that share
/// all their parameters, or have none, may bear one name.
template <typename Dtype>
void CheckNamesOfLayersWithBlobs(const caffe::Net<Dtype>& net);

/// The same of layers in a file of weights, where those that share their
/// parameters have equal ones.
void CheckNamesInWeights(const caffe::NetParameter& weights);

/// The index of the layer that `blobs` blobs of a layer `name` are for: the
/// first of this name with so many, else the first of this name, -1 if there is
/// none.
template <typename Dtype>
int FindLayer(const caffe::Net<Dtype>& net, const std::string& name,
              std::size_t blobs);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_LAYER_NAMES_HPP_
