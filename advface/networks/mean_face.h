// The mean of a set of faces: what somebody knows of a face who has no feature of it.
#pragma once
#include <functional>
#include <vector>

#include "tensor/tensor.h"

namespace advf {

// face(rows): (n,3,S,S). The result is (3,S,S).
Tensor mean_face_of(const std::function<Tensor(const std::vector<int64_t>&)>& face,
                    const std::vector<int64_t>& rows);

}  // namespace advf
