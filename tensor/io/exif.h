// How a photograph is to be turned: the one thing that the project reads from EXIF.
#pragma once
#include <string_view>

#include "tensor/io/image.h"

namespace advf {

// The orientation, 1 to 8 (EXIF 2.3, tag 0x0112), from an EXIF block as JPEG's APP1 segment (behind
// "Exif\0\0") and PNG's eXIf chunk hold it: a TIFF header and its first directory, in either byte order. 1,
// as stored, where there is none or the block is damaged, as viewers have it.
int exif_orientation(std::string_view tiff);

// The picture as it is to be seen, stored with this orientation. 5 to 8 exchange width and height.
Image upright(Image stored, int orientation);

}  // namespace advf
