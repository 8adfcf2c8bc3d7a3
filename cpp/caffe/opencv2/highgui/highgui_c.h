#ifndef UL2Q_OPENCV2_HIGHGUI_HIGHGUI_C_H_
#define UL2Q_OPENCV2_HIGHGUI_HIGHGUI_C_H_

#include "opencv2/core/core.hpp"

#endif  // UL2Q_OPENCV2_HIGHGUI_HIGHGUI_C_H_
