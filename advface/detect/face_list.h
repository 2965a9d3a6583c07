// Lists that people and tables read: faces that were cut out of pictures, and pictures that were left out.
#pragma once
#include <map>
#include <string>

#include "advface/core/faces.h"

namespace advf {

// Tab-separated: file, number of the face and of how many, box, score, quality, landmarks (empty fields where
// there are none). In the header's order.
std::string face_list_header();
std::string face_list_line(const std::string& file, const FoundFace& face);
// file, reason, explanation.
std::string left_out_header();
std::string left_out_line(const std::string& file, const BrokenFace& face);
// The whole list.
void write_left_out(const std::string& path, const FaceSource& faces);

// How many were left out for each reason: {"no face": 3}.
std::map<std::string, int64_t> count_by_reason(const FaceSource& faces);
// "12 of 7701 pictures give no face: 10 no face, 2 small"; "" where none was left out for such a reason.
std::string left_out_summary(const FaceSource& faces);

}  // namespace advf
