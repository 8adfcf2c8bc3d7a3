#ifndef UL2Q_SUPPORT_HDF5_WEIGHTS_HPP_
#define UL2Q_SUPPORT_HDF5_WEIGHTS_HPP_

#include <string>
#include <vector>

namespace ul2q {

/// The names of the layers that have parameters in a .caffemodel.h5. Throws
/// FileNotFound, and CaffeError if the file is damaged or holds no weights.
std::vector<std::string> LayersWithWeights(const std::string& path);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_HDF5_WEIGHTS_HPP_
