/** Applications every My Number Card carries beside the card APs in its free space; never a card profile's own. */
export const fixedApplications = [
  { name: 'common', aid: 'D3921000310001010100' },
  { name: 'resident-register', aid: 'D3921000310001010401' },
  { name: 'face-verification', aid: 'D3921000310001010402' },
  { name: 'face-entry-support', aid: 'D3921000310001010408' },
  { name: 'public-certification', aid: 'D392F000260100000001' },
  { name: 'issuer-security-domain', aid: 'A0000001510000' },
] as const;
