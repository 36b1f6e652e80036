//! Archives in memory.

use std::io::Write as _;

use anyhow::Result;

/// Gzipped.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// A tar of these files.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(499_162_500);
        archive.append_data(&mut header, path, *bytes)?;
    }
    Ok(archive.into_inner()?)
}

/// A ZIP archive of files that are stored as they are.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let offset = u32::try_from(archive.len())?;
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        let size = u32::try_from(bytes.len())?;
        // Version needed, flags, method, time, date; then the sum, both sizes, and the lengths of name and extra field.
        let mut shared = Vec::new();
        for number in [20_u16, 0, 0, 0, 0x5c21] {
            shared.extend(number.to_le_bytes());
        }
        for number in [sum.sum(), size, size] {
            shared.extend(number.to_le_bytes());
        }
        for number in [u16::try_from(name.len())?, 0] {
            shared.extend(number.to_le_bytes());
        }
        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&shared);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&shared);
        // No comment, the first disk, no attributes.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let count = u16::try_from(files.len())?;
    let (size, offset) = (u32::try_from(directory.len())?, u32::try_from(archive.len())?);
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for number in [count, count] {
        archive.extend_from_slice(&number.to_le_bytes());
    }
    for number in [size, offset] {
        archive.extend_from_slice(&number.to_le_bytes());
    }
    archive.extend_from_slice(&[0, 0]);
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_ends_with_its_directory() {
        let archive = zip(&[("a", b"one"), ("b/c", b"two")]).unwrap();
        let end = archive.len() - 22;
        assert_eq!(archive[end..end + 4], *b"PK\x05\x06");
        let offset = u32::from_le_bytes(archive[end + 16..end + 20].try_into().unwrap()) as usize;
        assert_eq!(archive[offset..offset + 4], *b"PK\x01\x02");
    }
}
