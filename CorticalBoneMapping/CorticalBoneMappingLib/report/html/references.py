"""The works that methods in words refer to."""

from __future__ import annotations

REFERENCES: dict[str, str] = {
    "Bell and McCaffrey 2002": "Bell RM, McCaffrey DF. Bias reduction in standard errors for linear "
    "regression with multi-stage samples. Surv Methodol 2002; 28: 169–181.",
    "Benjamini and Hochberg 1995": "Benjamini Y, Hochberg Y. Controlling the false discovery rate: a "
    "practical and powerful approach to multiple testing. J R Stat Soc B 1995; 57: 289–300.",
    "Fieller 1954": "Fieller EC. Some problems in interval estimation. J R Stat Soc B 1954; 16: 175–185.",
    "Freedman and Lane 1983": "Freedman D, Lane D. A nonstochastic interpretation of reported significance "
    "levels. J Bus Econ Stat 1983; 1: 292–298.",
    "Gilmour et al. 1995": "Gilmour AR, Thompson R, Cullis BR. Average information REML: an efficient "
    "algorithm for variance parameter estimation in linear mixed models. Biometrics 1995; 51: 1440–1450.",
    "Hayasaka et al. 2004": "Hayasaka S, Phan KL, Liberzon I, Worsley KJ, Nichols TE. Nonstationary "
    "cluster-size inference with random field and permutation methods. NeuroImage 2004; 22: 676–687.",
    "Holm 1979": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979; 6: "
    "65–70.",
    "Hothorn et al. 2008": "Hothorn T, Bretz F, Westfall P. Simultaneous inference in general parametric "
    "models. Biom J 2008; 50: 346–363.",
    "Kenward and Roger 1997": "Kenward MG, Roger JH. Small sample inference for fixed effects from "
    "restricted maximum likelihood. Biometrics 1997; 53: 983–997.",
    "Laird and Ware 1982": "Laird NM, Ware JH. Random-effects models for longitudinal data. Biometrics "
    "1982; 38: 963–974.",
    "Lüthi et al. 2018": "Lüthi M, Gerig T, Jud C, Vetter T. Gaussian process morphable models. IEEE Trans "
    "Pattern Anal Mach Intell 2018; 40: 1860–1873.",
    "Paule and Mandel 1982": "Paule RC, Mandel J. Consensus values and weighting factors. J Res Natl Bur "
    "Stand 1982; 87: 377–385.",
    "Pearson and Treece 2018": "Pearson RA, Treece GM. Measurement of the bone endocortical region using "
    "clinical CT. Med Image Anal 2018; 44: 28–40.",
    "Prevrhal et al. 2003": "Prevrhal S, Fox JC, Shepherd JA, Genant HK. Accuracy of CT-based thickness "
    "measurement of thin structures: modeling of limited spatial resolution in all three dimensions. Med "
    "Phys 2003; 30: 1–8.",
    "Smith and Nichols 2009": "Smith SM, Nichols TE. Threshold-free cluster enhancement: addressing "
    "problems of smoothing, threshold dependence and localisation in cluster inference. NeuroImage 2009; "
    "44: 83–98.",
    "Treece et al. 2010": "Treece GM, Gee AH, Mayhew PM, Poole KES. High resolution cortical bone thickness "
    "measurement from clinical CT data. Med Image Anal 2010; 14: 276–290.",
    "Treece et al. 2012": "Treece GM, Poole KES, Gee AH. Imaging the femoral cortex: thickness, density and "
    "mass from clinical CT. Med Image Anal 2012; 16: 952–965.",
    "Treece and Gee 2015": "Treece GM, Gee AH. Independent measurement of femoral cortical thickness and "
    "cortical bone density using clinical CT. Med Image Anal 2015; 20: 249–264.",
    "Winkler et al. 2014": "Winkler AM, Ridgway GR, Webster MA, Smith SM, Nichols TE. Permutation inference "
    "for the general linear model. NeuroImage 2014; 92: 381–397.",
    "Worsley et al. 1996": "Worsley KJ, Marrett S, Neelin P, Vandal AC, Friston KJ, Evans AC. A unified "
    "statistical approach for determining significant signals in images of cerebral activation. Hum Brain "
    "Mapp 1996; 4: 58–73.",
    "Worsley et al. 1999": "Worsley KJ, Andermann M, Koulis T, MacDonald D, Evans AC. Detecting changes in "
    "nonisotropic images. Hum Brain Mapp 1999; 8: 98–101.",
}
"""By name and year, as a text cites them."""


def cited(text: str) -> list[str]:
    """Give the references that a text names, in the order of their names."""
    return [reference for key, reference in REFERENCES.items() if key in text]
