// A traced network as an ONNX file (opset 13, float32 weights inside, any batch): how a recogniser trained
// here becomes a model that this and other programs load. Trace in eval mode with Tape::Keep::everything.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"

namespace advf {

// Which sizes of its input a file leaves open, beside the number of images: those of the picture (dimensions
// 2 and 3 of (N,C,H,W)) where what is written means the same for each, which are convolutions, batch norms,
// ops that work point by point, permutations and the fold of height and width into one dimension.
enum class OpenSizes { none, picture };

// Writes what computes `outputs` (each with the name that it gets) from `input`, whose dimension 0 counts
// images. Every other tensor that the tape reads is a constant, named by `weight_names` (tensor id -> name)
// or by number. Throws one Error that lists every op with no ONNX form; then, as on any failure, no file is
// left behind.
void export_onnx(const std::string& path, const Tape& tape, const Tensor& input,
                 const std::string& input_name, const std::vector<std::pair<Tensor, std::string>>& outputs,
                 const std::map<uint64_t, std::string>& weight_names = {}, OpenSizes open = OpenSizes::none);
// The same as bytes; `source` names the model in errors.
std::string to_onnx(const std::string& source, const Tape& tape, const Tensor& input,
                    const std::string& input_name, const std::vector<std::pair<Tensor, std::string>>& outputs,
                    const std::map<uint64_t, std::string>& weight_names = {},
                    OpenSizes open = OpenSizes::none);

// Whether an op can be written at all.
bool has_onnx_form(const OpDef& op);

}  // namespace advf
