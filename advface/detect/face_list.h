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
// file, reason, explanation: of pictures that were left out, and of single faces ("a.jpg#2") of others.
std::string left_out_header();
std::string left_out_list(const FaceSource& faces);
void write_left_out(const std::string& path, const FaceSource& faces);

// Where these lists lie beside what was made of the faces.
std::string face_list_path(const std::string& out);
std::string left_out_path(const std::string& out);
// Removes those of an earlier result of this name. Other files are left alone: the first line tells.
void remove_face_lists(const std::string& out);

// How many pictures were left out for each reason: {"no face": 3}.
std::map<std::string, int64_t> count_by_reason(const FaceSource& faces);
// The same of faces beside others of their pictures.
std::map<std::string, int64_t> count_faces_by_reason(const FaceSource& faces);
// "12 of 7701 pictures are left out: 10 no face, 2 small; of the others 3 faces: 3 small"; "" where none was
// left out for such a reason.
std::string left_out_summary(const FaceSource& faces);

}  // namespace advf
